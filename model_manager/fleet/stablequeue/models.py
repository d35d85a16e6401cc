"""The routes of StableQueue that are about models, answered from the fleet."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from model_manager.errors import BadPath, ModelManagerError, printable
from model_manager.facts.civitai import fields_of, file_of
from model_manager.facts.shelf import ShelfPath
from model_manager.fleet.models.filtering import NAMES, Filters
from model_manager.fleet.models.previewing import Pictures
from model_manager.fleet.ordering import Ordering
from model_manager.fleet.registry import DIGITS, TYPES, Registry, kept
from model_manager.fleet.stablequeue import shapes
from model_manager.fleet.stablequeue.rows import fields, model, servers
from model_manager.fleet.store import Claimed
from model_manager.serving.asking import Asked
from model_manager.serving.problems import Answer, away, bad_body

Records = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""SHA-256 → CivitAI's record of its version, None where it knows none. Raises ModelManagerError."""

EDITABLE: Final = (
    "name", "type", "civitai_id", "civitai_version_id", "civitai_model_name", "civitai_model_base", "civitai_model_type",
    "civitai_model_version_name", "civitai_trained_words", "tags", "notes",
)  # fmt: skip
LISTED: Final = tuple(name for name in NAMES if name != "type")
"""Filters besides the type, which narrows the search itself."""

MOST_SYNCED: Final = 5_000
"""Models of one request."""

LONGEST: Final = 10_000
"""Characters of a field."""

FOLDERS: Final = {"checkpoint": "checkpoints", "lora": "loras", "vae": "vae", "embedding": "embeddings"}


class Models:
    def __init__(
        self,
        registry: Registry,
        ordering: Ordering,
        records: Records,
        filters: Filters | None = None,
        pictures: Pictures | None = None,
        begun: Callable[[str, Sequence[str]], None] = lambda order, machines: None,
    ) -> None:
        """`begun` hears of every scan that is asked for here."""
        self._begun = begun
        self._filters = filters
        self._pictures = pictures
        self._registry = registry
        self._ordering = ordering
        self._records = records

    async def models(self, asked: Asked) -> shapes.StableQueueModels:
        """A page of them; only its rows are made."""
        folder = {kind: name for name, kind in TYPES.items()}.get(asked["type"], asked["type"])
        places = await kept(self._registry.places(asked["q"] or "", folder))
        if self._filters is not None:
            places = await self._filters.chosen(places, asked, LISTED)
        begin = asked["offset"]
        found = tuple(self._row(place) for place in places[begin : begin + asked["limit"]])
        return shapes.StableQueueModels(success=True, count=len(found), total=len(places), offset=begin, models=found)

    def _row(self, place: str) -> shapes.StableQueueModel:
        return model(self._registry, place, self._pictures.known(place) if self._pictures else None)

    async def info(self, asked: Asked) -> shapes.StableQueueInfo:
        return self._info(await self._place(asked))

    def _info(self, place: str) -> shapes.StableQueueInfo:
        registry = self._registry
        return shapes.StableQueueInfo(
            success=True, model=self._row(place), servers=servers(registry, place), fields=fields(registry, place)
        )

    async def edit(self, asked: Asked, body: dict[str, Any]) -> shapes.StableQueueInfo:
        """By hand: it goes before what anybody else told, and stays until it is taken back with null. Raises Answer 400."""
        place = await self._place(asked)
        if not body or body.keys() - set(EDITABLE):
            raise bad_body(f"Name some of {', '.join(EDITABLE)}.")
        for name, value in body.items():
            if not is_plain(value):
                raise bad_body(f"'{name}' must be a text, a number, a list of texts, or null to take it back.")
        await kept(self._registry.store.tell(place, "manual", body))
        return self._info(place)

    async def availability(self, asked: Asked) -> shapes.StableQueueServers:
        return shapes.StableQueueServers(success=True, servers=servers(self._registry, await self._place(asked)))

    async def mark(self, asked: Asked, server: str) -> shapes.StableQueueDone:
        """A machine that is not ours says that it holds a model."""
        place = await self._place(asked)
        self._registry.insist_foreign(server)
        row = self._registry.row(place)
        claimed = Claimed(place, row.size if row else None, self._registry.sha256(place))
        await kept(self._registry.store.claim(server, [claimed], [], whole=False))
        return shapes.StableQueueDone(success=True, message=f"{server} holds {place}, as it says.")

    async def unmark(self, asked: Asked, server: str) -> shapes.StableQueueDone:
        place = await self._place(asked)
        self._registry.insist_foreign(server)
        await kept(self._registry.store.claim(server, [], [place], whole=False))
        return shapes.StableQueueDone(success=True, message=f"{server} does not hold {place} any more.")

    async def sync(self, asked: Asked, body: dict[str, Any]) -> shapes.StableQueueSynced:
        """All that a machine holds (`full`), or what came and went (`changes`). Raises Answer 400, 409."""
        server, registry = asked["server_id"], self._registry
        registry.insist_foreign(server)
        if body.keys() - {"models", "removed", "mode"} or body.get("mode", "full") not in ("full", "changes"):
            raise bad_body("A sync has 'models', 'removed' and 'mode' (full or changes), and nothing else.")
        listed, removed = body.get("models", []), body.get("removed", [])
        if not isinstance(listed, list) or not isinstance(removed, list) or len(listed) + len(removed) > MOST_SYNCED:
            raise bad_body(
                f"'models' and 'removed' are lists, together of at most {MOST_SYNCED}. Send the rest as changes."
            )
        entries, skipped = _placed(listed)
        gone, odd = _placed(removed)
        found = [Claimed(place, _size(each), _sha256(each)) for place, each in entries.items()]
        whole = body.get("mode", "full") == "full"
        await kept(registry.store.claim(server, found, gone, whole=whole))
        await kept(self._tell_versions(entries))
        held = len(registry.store.claims.get(server, {}))
        return shapes.StableQueueSynced(success=True, server_id=server, models=held, skipped=(*skipped, *odd))

    async def _tell_versions(self, found: Mapping[str, Any]) -> None:
        """What the server says of CivitAI's versions, where nobody said it before."""
        versions = {place: _version(each) for place, each in found.items()}
        new = {p: v for p, v in versions.items() if v and self._registry.told(p, "civitai_version_id") is None}
        await self._registry.store.tell_all("server", {place: {"civitai_version_id": v} for place, v in new.items()})

    async def scan(self, _: Asked, body: dict[str, Any]) -> shapes.StableQueueOrder:
        """It is begun, and answered at once."""
        given = await self._ordering.many({"all": "machines" not in body, **body, "what": "scan"})
        self._begun(given.order, given.machines)
        said = f"{len(given.machines)} machines compare their directories with their indexes."
        return shapes.StableQueueOrder(success=True, message=said, order=given.order, machines=given.machines)

    async def calculate(self, asked: Asked, _: dict[str, Any]) -> shapes.StableQueueOrder:
        """Who holds it reads it whole. Raises Answer 404 where nobody of ours does."""
        place = await self._place(asked)
        machines = [m for m in self._registry.holders(place) if self._registry.view.state(m) != "away"]
        if not machines:
            raise Answer(
                404, "no-such-model", f"No machine of ours holds {printable(place, 200)}, so none can read it."
            )
        given = await self._ordering.many({"machines": machines, "what": "verify", "files": [place]})
        said = f"{len(machines)} machines read it; its hash comes with the next event."
        return shapes.StableQueueOrder(success=True, message=said, order=given.order, machines=given.machines)

    async def refresh(self, asked: Asked, _: dict[str, Any]) -> shapes.StableQueueRefreshed:
        """By the hash of its bytes, never by its name. Raises Answer 409 while nobody knows it, 503."""
        place = await self._place(asked)
        sha256 = self._registry.sha256(place)
        if not sha256:
            detail = "Its SHA-256 is not known, or differs from machine to machine. POST …/calculate-hash has it read."
            raise Answer(409, "no-hash", detail)
        try:
            record = await self._records(sha256)
        except ModelManagerError as error:
            raise away("civitai", printable(error)) from None
        if record is None:
            return shapes.StableQueueRefreshed(
                success=True, message="CivitAI does not know it.", found=False, metadata={}
            )
        told = {
            name: each for name, each in fields_of(record, file_of(record, sha256=sha256)).items() if is_plain(each)
        }
        known: dict[str, Any] = {name: each for name, each in told.items() if each is not None}
        await kept(self._registry.store.tell(place, "civitai", known))
        return shapes.StableQueueRefreshed(success=True, message=f"{len(known)} fields.", found=True, metadata=known)

    async def reset(self, _: Asked, __: dict[str, Any]) -> shapes.StableQueueBackup:
        """Only what the store holds: what machines have they tell again."""
        copy = await kept(self._registry.store.reset())
        said = "The store is empty; its copy lies beside it."
        return shapes.StableQueueBackup(success=True, message=said, backup=copy.name)

    async def verify(self, _: Asked, body: dict[str, Any]) -> shapes.StableQueueVerified:
        """Whether a checkpoint is here, by a hash or a version's id; its field has the wrong name in StableQueue."""
        given = body.get("hash", body.get("civitai_version_id"))
        if not isinstance(given, str | int) or isinstance(given, bool) or not str(given).strip():
            raise bad_body("Name a 'hash' (10 or 64 digits) or a 'civitai_version_id'.")
        text = str(given).strip().lower()
        await kept(self._registry.store.refresh())
        kind = DIGITS.get(len(text)) if set(text) <= set("0123456789abcdef") else None
        places = sorted(set(self._registry.hashed(text))) if kind else []
        if not places and text.isdigit():
            kind, places = None, self._registry.versioned(text)
        held = [place for place in places if any(each.own and each.verified for each in servers(self._registry, place))]
        chosen = next(iter([*held, *places]), None)
        return shapes.StableQueueVerified(
            success=True,
            provided_value=str(given),
            interpreted_as="model_hash" if kind else "civitai_version_id",
            available=bool(held),
            reason=None if held else "no machine of the fleet has it, verified" if places else "nobody knows it",
            hash=(self._registry.sha256(chosen) or None) if chosen else None,
            match_type=(kind or "version") if places else None,
            model_info=model(self._registry, chosen) if chosen else None,
        )

    async def _place(self, asked: Asked) -> str:
        return await kept(self._registry.place(asked["id"]))


def _placed(listed: Iterable[Any]) -> tuple[dict[str, Any], list[str]]:
    """Entries by their places, and why some were left out."""
    found: dict[str, Any] = {}
    skipped: list[str] = []
    for number, each in enumerate(listed):
        try:
            found[str(_shelf(each))] = each
        except BadPath as error:
            skipped.append(f"{number}: {printable(error, 300)}")
    return found, skipped


def _shelf(entry: Any) -> ShelfPath:
    """Where it lies. Raises BadPath."""
    if isinstance(entry, str):
        entry = {"filename": entry}
    if not isinstance(entry, dict):
        raise BadPath(path=str(entry), why="it is neither a path nor an object")
    name = entry.get("filename") or entry.get("name")
    kind = entry.get("folder") or FOLDERS.get(str(entry.get("type", "")).lower())
    if not isinstance(name, str):
        raise BadPath(path=str(name), why="its filename is no text")
    name = name.replace("\\", "/")
    return ShelfPath.parse(f"{kind}/{name}" if isinstance(kind, str) else name, name.rpartition("/")[2])


def _size(entry: Any) -> int | None:
    size = entry.get("size") if isinstance(entry, dict) else None
    return size if type(size) is int and 0 <= size < 2**53 else None


def _sha256(entry: Any) -> str:
    """A claim. An AutoV2 alone is none, for some programs compute it of the first mebibyte; and the SHA-256 of the file's own
    name is Forge's substitute for a hash (modules/hashes.py)."""
    if not isinstance(entry, dict):
        return ""
    given = next((entry[name] for name in ("hash_sha256", "sha256", "hash") if entry.get(name)), "")
    text = str(given).strip().lower()
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        return ""
    name = str(entry.get("filename") or entry.get("name")).replace("\\", "/").rpartition("/")[2]
    return "" if text == hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest() else text


def _version(entry: Any) -> str:
    """CivitAI's id of a version; some tables have it as `651553.0`."""
    given = entry.get("civitai_version_id") if isinstance(entry, dict) else None
    text = str(given).removesuffix(".0") if isinstance(given, int | float | str) else ""
    return text if text.isdigit() and text.isascii() and len(text) <= 12 else ""


def is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= 1_000 and all(isinstance(each, str) and len(each) <= LONGEST for each in value)
    return value is None or isinstance(value, int | float | bool) or (isinstance(value, str) and len(value) <= LONGEST)
