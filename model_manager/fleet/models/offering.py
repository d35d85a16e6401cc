"""Where a model could be had, as far as anybody here knows: the catalog, machines that have it, CivitAI's list of versions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from model_manager.decisions.needing import known_models, meant
from model_manager.decisions.sourcing import chosen, model, places
from model_manager.errors import BadPath, ModelManagerError, Unavailable, printable
from model_manager.facts.description import Address
from model_manager.facts.identity import Pin
from model_manager.facts.model import Assignment, Model
from model_manager.facts.resolution import Wish
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.sourcing import Find, Place
from model_manager.fleet.models import shapes
from model_manager.fleet.models.enquiring import Enquiring
from model_manager.fleet.models.updating import Updating
from model_manager.fleet.needs import PATIENCE, Describe
from model_manager.fleet.registry import Registry, number_of
from model_manager.serving.asking import Asked
from model_manager.serving.problems import Answer, bad_parameter

NOBODY: Final = "Nobody says where {place} can be had. Add it to the catalog, or name an address with 'sources'."
UNSURE: Final = "Only its name speaks for the places that are known. Choose one, and name it with 'sources'."


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`model` is what a machine would be asked for; None when nobody knows a place that is beyond doubt."""

    model: Model | None
    places: tuple[Place, ...]
    doubts: tuple[str, ...]
    why: str


class Offering:
    """`describe` asks the catalog, None when there is none."""

    def __init__(self, registry: Registry, enquiring: Enquiring, describe: Describe | None, updating: Updating) -> None:
        self._registry = registry
        self._enquiring = enquiring
        self._describe = describe
        self._updating = updating

    async def offers(self, asked: Asked) -> shapes.Offers:
        try:
            path = ShelfPath.parse(asked["model"], asked["model"].rpartition("/")[2])
        except BadPath as error:
            raise bad_parameter("model", f"is no 'folder/name': {error.facts['why']}.") from None
        found = await self.found(path)
        taken = {source.url for source in found.model.sources} if found.model else set()
        pin = found.model.pin if found.model else None
        return shapes.Offers(
            model=str(path),
            hash=hash_of(pin),
            size=found.model.size.bytes if found.model and found.model.size else None,
            sources=tuple(
                shapes.Offered(
                    url=each.url, teller=each.teller, weight=each.weight, why=each.why, taken=each.url in taken
                )
                for each in found.places
            ),
            why=found.why,
            doubts=found.doubts,
        )

    async def found(self, path: ShelfPath, told: str = "", pin: Pin | None = None) -> Found:
        """`told`: an address that a workflow names; `pin`: what is promised. Who cannot be asked is a doubt."""
        registry = self._registry
        registry.view.rows()
        place = next(iter(sorted(registry.view.catalogue.places(path))), str(path))
        sha256 = registry.sha256(place)
        wish = Wish(name=path.name, folders=(path.folder,), kind="file", pin=pin or _pin(sha256))
        (catalog, doubt), (known, silent) = await asyncio.gather(self._catalogued(path), self._addresses(place))
        wish, record = meant(wish, catalog)
        offered = places(wish, told=told, catalog=record, known=known, finds=self._released(sha256, place))
        best = chosen(offered)
        why = "" if best else UNSURE if offered else NOBODY.format(place=path)
        return Found(
            model=model(wish, [best, *(each for each in offered if each != best)]) if best else None,
            places=offered,
            doubts=tuple(filter(None, (doubt, silent))),
            why=why,
        )

    async def _catalogued(self, path: ShelfPath) -> tuple[Mapping[str, Model], str]:
        if self._describe is None:
            return {}, ""
        name = path.name.rpartition("/")[2]
        try:
            async with asyncio.timeout(PATIENCE):
                described = await self._describe(Assignment(models=(name,)))
        except TimeoutError:
            return {}, f"the catalog did not answer within {PATIENCE:.0f} s"
        except ModelManagerError as error:
            return {}, printable(error)
        return known_models(described), "; ".join(described.doubts)

    async def _addresses(self, place: str) -> tuple[Sequence[Address], str]:
        """Where a machine that holds it knows that it came from; a model that nobody holds has none."""
        holders = self._registry.holders(place)
        machine_id = self._enquiring.holder(holders, number_of(place))
        if machine_id is None:
            return (), ""
        try:
            said = await self._enquiring.ask(machine_id, "describe", [holders[machine_id][0].path])
        except (Answer, Unavailable) as error:
            return (), printable(error.detail if isinstance(error, Answer) else error)
        return tuple(_told(said.get("files", ()))), ""

    def _released(self, sha256: str, place: str) -> Iterator[Find]:
        """Versions at CivitAI with these bytes, or that it says the model here is."""
        said, version = self._updating.said(place), self._registry.text(place, "civitai_version_id")
        for each in (said.releases or ()) if said else ():
            own = each.hashes[0] if each.hashes else ""
            if each.url and (own == sha256 if sha256 else each.version == version):
                yield Find(teller="civitai", url=each.url, name=each.file, title=each.name, pin=_pin(own))


def hash_of(pin: Pin | None) -> str | None:
    """As a request takes it: one that can be of several kinds stands bare."""
    if pin is None:
        return None
    return f"{pin.algorithms[0]}:{pin.hex}" if len(pin.algorithms) == 1 else pin.hex


def _pin(sha256: str) -> Pin | None:
    return Pin.parse(f"sha256:{sha256}") if sha256 else None


def _told(files: Iterable[Mapping[str, Any]]) -> Iterator[Address]:
    for each in files:
        sources = each.get("sources")
        for source in sources if isinstance(sources, list) else ():
            with suppress(TypeError, AttributeError):
                if address := Address.parse(source.get("url")):
                    yield address
