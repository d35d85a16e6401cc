"""A database of StableQueue that somebody sends: read as a dead copy, cleaned, and entered as words and claims, never as proof."""

from __future__ import annotations

import asyncio
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import BodyPartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from model_manager.errors import BadForeign, BadPath, Unavailable, printable
from model_manager.facts.shelf import CATEGORY_OF, ShelfPath
from model_manager.fleet.registry import Registry, kept
from model_manager.fleet.stablequeue import answers
from model_manager.fleet.stablequeue.models import FOLDERS
from model_manager.fleet.store import Claimed
from model_manager.neighbours.stablequeue import Remembered, remembered
from model_manager.serving.answering import answered
from model_manager.serving.asking import BODY_SECONDS, MACHINE, Param, asked
from model_manager.serving.problems import Answer, away, bad_body

SHOWN: Final = 1_000
"""Rows that were left out, of which an answer tells why."""

STALLED: Final = BODY_SECONDS
"""Seconds that the next piece of the file may take."""

PIECE: Final = 1 << 18

DRY: Final = Param(name="dry_run", help="true enters nothing, and says what would be.", kind="flag", default=False)

BROKEN: Final = (ValueError, AssertionError, HttpProcessingError)
"""How aiohttp's reader of forms says that one cannot be read."""

_MAGIC: Final = b"SQLite format 3\x00"

_DIRECTORIES: Final = {
    "stable-diffusion": "checkpoints",
    "checkpoints": "checkpoints",
    "checkpoint": "checkpoints",
    "lora": "loras",
    "loras": "loras",
    "lycoris": "loras",
    "vae": "vae",
    "embeddings": "embeddings",
    "controlnet": "controlnet",
    "esrgan": "upscale_models",
    **{folder: folder for folder in CATEGORY_OF},
}
"""Directories of Forge and A1111 (modules/sd_models.py, extensions-builtin/Lora) → folders here."""


@dataclass(slots=True)
class _Taken:
    """What the rows come to. `claims` by server; `wrong` rows or parts of them, and why."""

    words: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: dict[str, dict[str, Claimed]] = field(default_factory=dict)
    wrong: list[answers.StableQueueWrong] = field(default_factory=list)
    here: int = 0


class Taking:
    """`most` bytes of a file."""

    def __init__(self, registry: Registry, most: int) -> None:
        self._registry = registry
        self._most = most

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """The file is the body, or the first file of a form. Raises Answer 400, 408, 413, 422, 503."""
        dry = asked(request, (DRY,))["dry_run"]
        with tempfile.TemporaryDirectory(prefix="stablequeue-") as folder:
            file = Path(folder) / "copy.sqlite"
            await self._written(request, file)
            return answered(request, await self.take(str(file), dry=dry))

    async def _written(self, request: web.Request, file: Path) -> None:
        """Its header is looked at before the rest is read."""
        source = await _source(request)
        size, head = 0, b""
        with file.open("wb") as out:
            while piece := await _piece(source):
                size += len(piece)
                if size > self._most:
                    detail = f"It is larger than {self._most} bytes. Raise MODEL_MANAGER_FLEET_IMPORT_BYTES, or use the command."
                    raise Answer(413, "too-large", detail)
                if len(head) < len(_MAGIC):
                    head += piece[: len(_MAGIC)]
                    if not _MAGIC.startswith(head[: len(_MAGIC)]):
                        raise Answer(
                            422, "no-database", "It is no SQLite database. Send StableQueue's mobilesd_models.sqlite."
                        )
                await asyncio.to_thread(out.write, piece)
        if not size:
            raise bad_body("Nothing was sent. Send the bytes of StableQueue's mobilesd_models.sqlite.")

    async def take(self, file: str, *, dry: bool, still: bool = True) -> answers.StableQueueImported:
        """Of a file, `still` if nobody can write it. Raises Answer 422 for what is no such database, 503."""
        at = self._registry.store.now()
        try:
            rows, odd, number = await asyncio.to_thread(remembered, file, at, still=still)
        except BadForeign as error:
            raise Answer(422, "no-database", f"{printable(error.facts['why'], 300)}. Send StableQueue's.") from None
        except Unavailable as error:
            raise away("file", printable(error)) from None
        await kept(self._registry.places())
        taken = _Taken(
            wrong=[answers.StableQueueWrong(where=printable(o.where, 200), why=printable(o.why, 300)) for o in odd]
        )
        for row in rows:
            self._sort(row, taken)
        if not dry:
            await self._enter(taken)
        words = sum(map(len, taken.words.values()))
        return answers.StableQueueImported(
            success=True,
            message=f"{len(taken.words)} of {number} models were {'understood' if dry else 'taken in'}.",
            dry_run=dry,
            rows=number,
            models=len(taken.words),
            here=taken.here,
            words=words,
            claims=sum(map(len, taken.claims.values())),
            servers=tuple(sorted(taken.claims)),
            wrong=tuple(taken.wrong[:SHOWN]),
            wrongs=len(taken.wrong),
        )

    async def _enter(self, taken: _Taken) -> None:
        await kept(self._registry.store.tell_all("server", taken.words))
        for server, found in taken.claims.items():
            await kept(self._registry.store.claim(server, found.values(), (), whole=False))

    def _sort(self, row: Remembered, taken: _Taken) -> None:
        sha256 = next((each.pin.hex for each in row.claims if each.pin.algorithms == ("sha256",)), "")
        where = f"{row.directory}/{row.name}"
        try:
            place = self._place(row, sha256)
        except BadPath as error:
            taken.wrong.append(_wrong(where, error.facts["why"]))
            return
        if place in taken.words:
            taken.wrong.append(_wrong(where, "it stands there twice; the first row is taken"))
            return
        taken.here += self._registry.row(place) is not None
        taken.words[place] = {each.field: each.value for each in row.told}
        size = int(row.kilobytes * 1024) if row.kilobytes else None
        for server, _ in row.servers:
            if not re.fullmatch(MACHINE, server) or self._registry.view.knows(server):
                taken.wrong.append(
                    _wrong(where, f"its server '{server}' has no name as machines have, or tells for itself")
                )
            else:
                taken.claims.setdefault(server, {})[place] = Claimed(place, size, sha256)

    def _place(self, row: Remembered, sha256: str) -> str:
        """Where machines have these bytes; else where its path says. Raises BadPath."""
        name = row.name.replace("\\", "/").rpartition("/")[2]
        same = self._registry.same(sha256) if sha256 else ()
        if same:
            return next((place for place in same if place.rpartition("/")[2] == name), same[0])
        return str(shelf_of(row.directory, row.name, row.type))


def shelf_of(directory: str, name: str, kind: str) -> ShelfPath:
    """Where a file of Forge would stand here: what is behind the directory of its kind stays. Raises BadPath."""
    parts = [part for part in directory.replace("\\", "/").split("/") if part]
    inner = name.replace("\\", "/")
    if parts and inner == parts[-1]:
        parts = parts[:-1]
    folder = FOLDERS.get(kind, "")
    for number in range(len(parts) - 1, -1, -1):
        if found := _DIRECTORIES.get(parts[number].lower()):
            return ShelfPath.parse("/".join((found, *parts[number + 1 :], inner)), inner.rpartition("/")[2])
    if not folder:
        raise BadPath(
            path=f"{directory}/{name}", why="neither its type nor its directory says what kind of model it is"
        )
    return ShelfPath.parse(f"{folder}/{inner}", inner.rpartition("/")[2])


def _wrong(where: str, why: object) -> answers.StableQueueWrong:
    return answers.StableQueueWrong(where=printable(where, 200), why=printable(why, 300))


async def _source(request: web.Request) -> BodyPartReader | StreamReader:
    """Raises Answer 400 for a form without a file."""
    if not request.content_type.startswith("multipart/"):
        return request.content
    with suppress(*BROKEN):
        form = await request.multipart()
        while (part := await form.next()) is not None:
            if isinstance(part, BodyPartReader) and part.filename:
                return part
    raise bad_body("The form carries no file. Send StableQueue's mobilesd_models.sqlite as one, or as the body.")


async def _piece(source: BodyPartReader | StreamReader) -> bytes:
    try:
        async with asyncio.timeout(STALLED):
            if isinstance(source, BodyPartReader):
                return bytes(await source.read_chunk(PIECE))
            return bytes(await source.read(PIECE))
    except BROKEN:
        raise bad_body("The form breaks off, or cannot be read. Send the file again.") from None
    except TimeoutError:
        raise Answer(408, "slow-body", f"Nothing came for {STALLED:.0f} s. Send it again.") from None
