"""Pictures of models: fetched from a machine that has one, many with one order, and kept as long as there is room."""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from model_manager.errors import Unavailable, printable
from model_manager.facts.order import MOST_SHOWN
from model_manager.fleet.models.enquiring import Enquiring
from model_manager.fleet.registry import Registry, number_of
from model_manager.library.contents.previews import kind_of
from model_manager.serving.problems import Answer, no_such

ROOM: Final = 64 * 1024 * 1024
"""Bytes of pictures that are kept."""

EMPTY: Final = 512
"""Bytes that a remembered absence counts for."""

FRESH: Final = 300.0
"""Seconds after which a picture, or that there is none, is asked for again."""

GATHER: Final = 0.02
"""Seconds in which questions to one machine are gathered."""

TYPES: Final = {
    "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif", "mp4": "video/mp4",
    "webm": "video/webm",
}  # fmt: skip
"""By the first bytes alone. What is none of these, a page or an SVG above all, is never given on."""


@dataclass(frozen=True, slots=True)
class Picture:
    """`type` of its content; `data` is empty where there is none, and `why` says so."""

    type: str
    data: bytes
    why: str = ""


@dataclass(slots=True)
class _Queue:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: dict[str, asyncio.Future[Picture]] = field(default_factory=dict)


class Pictures:
    def __init__(
        self, registry: Registry, enquiring: Enquiring, monotonic: Callable[[], float], room: int = ROOM
    ) -> None:
        self._registry = registry
        self._enquiring = enquiring
        self._monotonic = monotonic
        self._room = room
        self._kept: OrderedDict[str, tuple[float, str, Picture]] = OrderedDict()
        self._taken = 0
        self._queues: dict[str, _Queue] = {}

    def known(self, place: str) -> bool | None:
        """Whether there is one; None while nobody asked."""
        kept = self._kept.get(place)
        return None if kept is None else bool(kept[2].data)

    def forget(self, place: str) -> None:
        """It is asked for again."""
        if (kept := self._kept.pop(place, None)) is not None:
            self._taken -= _weight(kept[2])

    async def of(self, place: str) -> Picture:
        """Raises Answer 404 for none, 503 when no machine replies; BusUnavailable."""
        kept, sha256 = self._kept.get(place), self._registry.sha256(place)
        if kept is None or kept[1] != sha256 or self._monotonic() - kept[0] > FRESH:
            found = await self._fetched(place)
            self._keep(place, sha256, found)
        else:
            self._kept.move_to_end(place)
            found = kept[2]
        if not found.data:
            raise no_such("preview", place, f"{found.why.capitalize()}. Put one beside it, as `name.preview.png`.")
        return found

    async def _fetched(self, place: str) -> Picture:
        machine_id = self._enquiring.holder(self._registry.holders(place), number_of(place))
        if machine_id is None:
            raise Answer(404, "no-such-preview", f"No machine that lives holds {printable(place, 200)}.")
        queue = self._queues.setdefault(machine_id, _Queue())
        future = queue.waiting.setdefault(place, asyncio.get_running_loop().create_future())
        async with queue.turn:
            if not future.done():
                await asyncio.sleep(GATHER)
            while not future.done():
                await self._take(machine_id, queue)
        return future.result()

    async def _take(self, machine_id: str, queue: _Queue) -> None:
        """The first of those that wait, with one order."""
        places = list(queue.waiting)[:MOST_SHOWN]
        paths = {path: place for place in places if (path := self._path(place, machine_id))}
        try:
            said = await self._enquiring.ask(machine_id, "describe", list(paths), ("preview",)) if paths else {}
        except (Answer, Unavailable) as error:
            for place in places:
                future = queue.waiting.pop(place)
                future.set_exception(error)
                future.exception()  # whoever waited may have gone
            return
        pictures = _pictures(said.get("files", ()), paths)
        for place in places:
            queue.waiting.pop(place).set_result(pictures.get(place) or Picture("", b"", "its machine does not have it"))

    def _path(self, place: str, machine_id: str) -> str:
        copies = self._registry.holders(place).get(machine_id, ())
        return next((copy.path for copy in copies), "")

    def _keep(self, place: str, sha256: str, found: Picture) -> None:
        self.forget(place)
        self._kept[place] = self._monotonic(), sha256, found
        self._taken += _weight(found)
        while self._taken > self._room:
            _, (_, _, old) = self._kept.popitem(last=False)
            self._taken -= _weight(old)


def _weight(picture: Picture) -> int:
    return len(picture.data) + EMPTY


def _pictures(files: Sequence[Any], paths: Mapping[str, str]) -> dict[str, Picture]:
    return {
        paths[each["path"]]: _picture(each) for each in files if isinstance(each, dict) and each.get("path") in paths
    }


def _picture(told: Mapping[str, Any]) -> Picture:
    """What a machine sends is data: its own first bytes say what it is."""
    try:
        data = b64decode(str(told.get("preview") or ""), validate=True)
    except (binascii.Error, ValueError):
        return Picture("", b"", "its machine sent something else")
    kind = kind_of(data)
    if kind is None:
        return Picture("", b"", printable(told.get("why") or "its picture is no image", 200))
    return Picture(TYPES[kind], data)
