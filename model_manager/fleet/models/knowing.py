"""All that is known of one model: what the fleet has in memory, and what a machine that holds it finds in its index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from model_manager.errors import Unavailable, printable
from model_manager.facts.description import ORDER
from model_manager.fleet.jobs.desk import iso
from model_manager.fleet.models.enquiring import Enquiring
from model_manager.fleet.models.previewing import Pictures
from model_manager.fleet.models.releases import Said
from model_manager.fleet.models.updating import Updating, shelf_of
from model_manager.fleet.models.uses import Uses
from model_manager.fleet.registry import Registry, number_of
from model_manager.fleet.stablequeue import shapes
from model_manager.fleet.stablequeue.rows import model, servers
from model_manager.serving.problems import Answer

T = TypeVar("T")

_MANUAL = "manual"


class Knowing:
    def __init__(
        self, registry: Registry, enquiring: Enquiring, uses: Uses, pictures: Pictures, updating: Updating
    ) -> None:
        self._updating = updating
        self._registry = registry
        self._enquiring = enquiring
        self._uses = uses
        self._pictures = pictures

    async def known(self, place: str) -> shapes.StableQueueKnown:
        """A machine that does not answer is said, and takes nothing away of the rest."""
        registry, row = self._registry, self._registry.row(place)
        machine_id, said, why = await self._said(place)
        used = await self._uses.places()
        await self._updating.refresh()
        told = self._updating.said(place)
        sha256 = registry.sha256(place)
        hashes = {"sha256": sha256, "autov2": sha256[:10]} if sha256 else {}
        return shapes.StableQueueKnown(
            success=True,
            model=model(registry, place, self._pictures.known(place)),
            machine_id=machine_id,
            why=why,
            hashes=hashes | _texts(said.get("hashes")),
            told=self._told(place, said),
            claims=tuple(
                shapes.StableQueueClaim(**_only(each, "algorithm", "hex", "who"))
                for each in _records(said.get("claims"))
            ),
            sources=tuple(
                shapes.StableQueueSource(**_only(each, "kind", "url")) for each in _records(said.get("sources"))
            ),
            needed_by=tuple(map(str, _list(said.get("needed_by")))),
            workflows=used.workflows.get(place, ()),
            unknown=used.unknown,
            versions=tuple(self._versions(place)),
            releases=tuple(self._releases(place, told)),
            listed=None if told is None else told.releases is not None,
            checked=iso(told.at) if told else "",
            files=tuple(self._files(place)),
            servers=servers(registry, place),
            first_seen=str(said.get("first_seen", "")),
            verified_at=str(said.get("verified_at", "")),
            last_used=registry.view.usage.anywhere(row.folder, row.name, row.hashes) if row else None,
        )

    async def _said(self, place: str) -> tuple[str | None, Mapping[str, Any], str]:
        """Who told it, what, and why nobody did."""
        holders = self._registry.holders(place)
        machine_id = self._enquiring.holder(holders, number_of(place))
        if machine_id is None:
            return None, {}, "no machine that lives holds it"
        path = holders[machine_id][0].path
        try:
            said = await self._enquiring.ask(machine_id, "describe", [path])
        except (Answer, Unavailable) as error:
            return None, {}, printable(error.detail if isinstance(error, Answer) else error)
        found = next((each for each in _records(said.get("files")) if each.get("path") == path), None)
        return (machine_id, found, "") if found else (None, {}, f"{machine_id} does not hold it any more")

    def _told(self, place: str, said: Mapping[str, Any]) -> tuple[shapes.StableQueueField, ...]:
        """Of each field the word that goes first, first."""
        here = [
            shapes.StableQueueField(field=name, value=word.value, teller=word.teller, at=word.at)
            for name, word in self._registry.store.told.get(place, {}).items()
        ]
        there = [
            shapes.StableQueueField(**_only(each, "field", "value", "teller", "at"))
            for each in _records(said.get("told"))
            if each.get("field") and each.get("teller")
        ]
        return tuple(sorted((*here, *there), key=lambda each: (each.field, _rank(each.teller))))

    def _versions(self, place: str) -> Iterator[shapes.StableQueueVersion]:
        registry = self._registry
        civitai = registry.text(place, "civitai_id")
        if not civitai:
            return
        newest = self._updating.latest(place)
        for each in sorted({place, *self._updating.family(civitai)}):
            if registry.text(each, "civitai_id") == civitai:
                version = registry.text(each, "civitai_version_id")
                yield shapes.StableQueueVersion(
                    id=number_of(each),
                    model=each,
                    version_id=version,
                    version_name=registry.text(each, "civitai_model_version_name"),
                    latest=version == str(newest),
                    own=each == place,
                )

    def _releases(self, place: str, said: Said | None) -> Iterator[shapes.StableQueueRelease]:
        """Latest first, as CivitAI told them."""
        own = self._registry.text(place, "civitai_version_id")
        for each in (said.releases or ()) if said else ():
            yield shapes.StableQueueRelease(
                version_id=each.version,
                name=each.name,
                base=each.base,
                published=each.published,
                file=each.file,
                size=each.size or None,
                hash=f"sha256:{each.hashes[0]}" if each.hashes else None,
                sources=(each.url,) if each.url else (),
                place=shelf_of(place, each),
                here=tuple(self._updating.here(each)),
                own=each.version == own,
                newer=self._updating.newer(place, each),
            )

    def _files(self, place: str) -> Iterator[shapes.StableQueueCopy]:
        for machine_id, copies in self._registry.holders(place).items():
            for copy in copies:
                yield shapes.StableQueueCopy(
                    machine_id=machine_id,
                    path=copy.path,
                    size=copy.size,
                    hash=copy.hash,
                    verified=copy.verified,
                    evidence=copy.evidence,
                )


def _rank(teller: str) -> int:
    """Manual, then a machine's tellers in their order, then those of the store."""
    if teller == _MANUAL:
        return -1
    return ORDER.index(teller) if teller in ORDER else len(ORDER)


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _records(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in _list(value) if isinstance(each, dict)]


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(each) for name, each in value.items() if each} if isinstance(value, dict) else {}


def _only(record: Mapping[str, Any], *names: str) -> dict[str, str]:
    """These fields as texts: what a machine of another release leaves out is empty."""
    return {name: str(record.get(name) or "") for name in names}
