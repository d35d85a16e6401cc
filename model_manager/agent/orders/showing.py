"""All that is known of some files here, for somebody far away: what the index has, who needs them, and a picture of each."""

from __future__ import annotations

import os
import stat
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from model_manager.agent.board import Board
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.threads import finishing
from model_manager.decisions.removing import Slot, wanted_at
from model_manager.errors import NotFound
from model_manager.facts.disk import Held
from model_manager.facts.identity import Algorithm, Digests
from model_manager.facts.known import Detail
from model_manager.facts.model import Wanted
from model_manager.index.reading import Shop
from model_manager.library.contents import previews

LARGEST: Final = 1_500_000
"""Bytes of a picture that is sent; sixteen of them fit into one reply."""

LONGEST: Final = 20_000
"""Characters of a told field."""

HASHES: Final[tuple[Algorithm, ...]] = ("sha256", "autov2", "autov3", "blake3", "md5", "crc32")


class Showing:
    def __init__(self, board: Board, shelves: Shelves, shop: Callable[[], Shop]) -> None:
        """`shop` opens the index to read it."""
        self._board = board
        self._shelves = shelves
        self._shop = shop

    async def show(self, files: Sequence[str], *, pictures: bool) -> list[dict[str, Any]]:
        """Of each file that is held. Raises IndexUnavailable."""
        held = [self._shelves.held[file] for file in files]
        return await finishing(_shown, self._shop, held, wanted_at(self._board.requirements), pictures)


def _shown(
    shop_of: Callable[[], Shop], files: Sequence[Held], wanted: Mapping[Slot, Wanted], pictures: bool
) -> list[dict[str, Any]]:
    with shop_of() as shop:
        return [_one(shop, held, wanted.get(held.shelf.slot), pictures) for held in files]


def _one(shop: Shop, held: Held, wanted: Wanted | None, pictures: bool) -> dict[str, Any]:
    detail = _detail(shop, held.file)
    known = next((each for each in detail.locations if each.file == held.file), None) if detail else None
    told = {
        "path": held.file,
        "folder": held.shelf.folder,
        "name": held.shelf.name,
        "size": held.fingerprint.size,
        "evidence": held.evidence or "",
        "verified_at": held.verified_at,
        "first_seen": known.first_seen if known else "",
        "trouble": known.trouble if known else "",
        "hashes": _hashes(held.digests),
        "needed_by": list(wanted.needed_by) if wanted else [],
        "required": bool(wanted and wanted.required),
    }
    return told | (_lore(detail) if detail else {}) | (_picture(held, detail) if pictures else {})


def _detail(shop: Shop, file: str) -> Detail | None:
    """None for a file that left the index in this moment."""
    with suppress(NotFound):
        found = next((each for each in shop.find(file, limit=1) if each.file == file), None)
        return shop.show(found.content_id) if found else None
    return None


def _hashes(digests: Digests | None) -> dict[str, str]:
    if digests is None:
        return {}
    values = {name: digests.named(name) for name in HASHES}
    return {name: value for name, value in values.items() if value}


def _lore(detail: Detail) -> dict[str, Any]:
    return {
        "told": [
            {"field": each.field, "value": each.value[:LONGEST], "teller": each.teller, "at": each.at}
            for each in detail.told
        ],
        "claims": [
            {"algorithm": each.pin.algorithms[0], "hex": each.pin.hex, "who": each.who} for each in detail.claims
        ],
        "sources": [{"kind": each.kind, "url": each.url} for each in detail.addresses],
    }


def _picture(held: Held, detail: Detail | None) -> dict[str, Any]:
    """`preview` in base64, empty where there is none, and why."""
    found = _paths(held, detail)
    for path in found:
        with suppress(OSError):
            data = _read(path, held)
            if data and previews.kind_of(data):
                return {"preview": b64encode(data).decode(), "why": ""}
    why = f"its picture is no image, or larger than {LARGEST} bytes" if found else "it has no picture"
    return {"preview": "", "why": why}


def _paths(held: Held, detail: Detail | None) -> list[str]:
    known = list(detail.previews) if detail else []
    with suppress(OSError):
        if beside := previews.find(held.file, os.listdir(os.path.dirname(held.file))):
            known.insert(0, beside)
    return list(dict.fromkeys(known))


def _read(path: str, held: Held) -> bytes:
    """Its bytes, none for what lies elsewhere or is too large: databases of others may name any file. Raises OSError."""
    real, root = os.path.realpath(path), os.path.realpath(held.root)
    if not real.startswith(f"{root}/"):
        return b""
    fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        data = os.read(fd, LARGEST + 1)
    finally:
        os.close(fd)
    return data if len(data) <= LARGEST else b""
