"""Which models have a later version: one that machines hold, or that CivitAI publishes; for the same base model where both are told."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress

from model_manager.errors import BadPath, StoreUnavailable
from model_manager.facts.release import Release
from model_manager.facts.shelf import ShelfPath
from model_manager.fleet.models.releases import Releases, Said
from model_manager.fleet.models.traits import Traits, number
from model_manager.fleet.registry import Registry


class Updating:
    """Every answer is as of the last `refresh`."""

    def __init__(self, registry: Registry, releases: Releases, traits: Traits) -> None:
        self._registry = registry
        self._traits = traits
        self.releases = releases

    async def refresh(self) -> None:
        """What cannot be read is missing then, and all that is known without it is there."""
        with suppress(StoreUnavailable):
            await self.releases.refresh()
        await self._traits.current()

    @property
    def state(self) -> int:
        """Another one whenever an answer could be another one."""
        return self._traits.version

    @property
    def outdated(self) -> AbstractSet[str]:
        """Models of which a later version is known."""
        return self._traits.outdated

    def latest(self, place: str) -> int:
        """The latest version of its model, for whatever base model."""
        return self._traits.latest(self._registry.text(place, "civitai_id"))

    def family(self, model: str) -> AbstractSet[str]:
        """Models here that are versions of one at CivitAI."""
        return self._traits.models.get(model, set())

    def said(self, place: str) -> Said | None:
        """What CivitAI said of its model, None while it was not asked."""
        return self.releases.of(self._registry.text(place, "civitai_id"))

    def newer(self, place: str, release: Release) -> bool:
        """Whether it is later than the model at a place, and for the same base model where both are told."""
        version = number(self._registry.text(place, "civitai_version_id"))
        base = self._registry.text(place, "civitai_model_base")
        return bool(version) and release.number > version and (not base or not release.base or base == release.base)

    def here(self, release: Release) -> Sequence[str]:
        """Where machines hold one of its files, or a model of which somebody told that it is this version."""
        found = [place for sha256 in release.hashes for place in self._registry.same(sha256)]
        return tuple(dict.fromkeys(found))


def shelf_of(place: str, release: Release) -> str:
    """Beside the version that is here, under its own name; "" when that is none for a shelf."""
    directory = place.rpartition("/")[0]
    with suppress(BadPath):
        return str(ShelfPath.parse(f"{directory}/{release.file}", release.file)) if release.file else ""
    return ""
