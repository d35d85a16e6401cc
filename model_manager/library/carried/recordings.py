"""What ComfyUI writes into the films and sounds that it saves: the workflow and the prompt, as tags of the container.

FLAC: Vorbis comments `prompt` and `workflow` (comfy_extras/nodes_audio.py). MP4 and MOV: `moov/udta/meta` with named keys
(comfy_api, VideoFromFile.save_to, movflags=use_metadata_tags; QuickTime File Format, Metadata), or a comment with both, as
VideoHelperSuite has ffmpeg write it. WebM and Matroska: `Segment/Tags` (comfy_extras/nodes_video.py, SaveWEBM; RFC 9559).
Sound and pictures are never read: what holds them is stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from model_manager.errors import BadWorkflow
from model_manager.library.carried.pictures import MAX_TEXT, Read, utf8

MAX_BOXES: Final = 100_000
"""Boxes, elements, blocks or comments that are looked at in one file."""

_COMMENTS: Final = 4

_SEGMENT: Final = 0x18538067
_TAGS: Final = 0x1254C367
_TAG: Final = 0x7373
_SIMPLE: Final = 0x67C8
_NAME: Final = 0x45A3
_TEXT: Final = 0x4487

Texts = Iterator[tuple[str, bytes]]


def flac_texts(read: Read, name: str) -> Texts:
    """(name in lower case, text in UTF-8) of every Vorbis comment (RFC 9639, 8.6). Raises BadWorkflow(name) when cut off."""
    at = 4
    for _ in range(MAX_BOXES):
        head = read(at, 4)
        if len(head) < 4:
            return
        length = int.from_bytes(head[1:])
        if head[0] & 0x7F == _COMMENTS:
            yield from comments(read(at + 4, length), name)
        if head[0] & 0x80:
            return
        at += 4 + length


def comments(block: bytes, name: str) -> Texts:
    """Vorbis comments (Vorbis I, 5). Raises BadWorkflow(name) when they are cut off."""
    at = 4 + int.from_bytes(block[:4], "little")
    count = int.from_bytes(block[at : at + 4], "little")
    at += 4
    for _ in range(min(count, MAX_BOXES)):
        length = int.from_bytes(block[at : at + 4], "little")
        text = block[at + 4 : at + 4 + length]
        if len(text) < length or at + 4 > len(block):
            raise BadWorkflow(name=name, why="its comments are cut off")
        at += 4 + length
        key, equals, value = text.partition(b"=")
        if equals and len(key) < 80:
            yield key.decode("latin-1").lower(), utf8(value)


def mp4_texts(read: Read, size: int, name: str) -> Texts:
    """The same of the named keys and the comment in `moov`, wherever it stands. `size` of the file in bytes."""
    walk = _Boxes(read, name)
    for kind, start, end in walk.within(0, size):
        if kind == b"moov":
            yield from _movie(walk, start, end)


def _movie(walk: _Boxes, start: int, end: int) -> Texts:
    for kind, begin, stop in walk.within(start, end):
        if kind == b"meta":
            yield from _meta(walk, begin, stop)
        for inner, first, last in walk.within(begin, stop) if kind == b"udta" else ():
            if inner == b"meta":
                yield from _meta(walk, first, last)


def _meta(walk: _Boxes, start: int, end: int) -> Texts:
    """ISO writes four bytes of version first, QuickTime none."""
    if walk.read(start + 4, 4) != b"hdlr":
        start += 4
    keys: list[str] = []
    for kind, begin, stop in walk.within(start, end):
        if kind == b"keys":
            keys = list(_keys(walk, begin, stop))
        elif kind == b"ilst":
            yield from _items(walk, begin, stop, keys)


def _keys(walk: _Boxes, start: int, end: int) -> Iterator[str]:
    for _, begin, stop in walk.within(start + 8, end):
        yield walk.read(begin, min(stop - begin, 200)).decode("utf-8", "replace").lower()


def _items(walk: _Boxes, start: int, end: int, keys: list[str]) -> Texts:
    for kind, begin, stop in walk.within(start, end):
        number = int.from_bytes(kind) - 1
        named = "comment" if kind == b"\xa9cmt" else keys[number] if 0 <= number < len(keys) else ""
        for inner, first, last in walk.within(begin, stop) if named else ():
            if inner == b"data":
                yield named.rpartition(".")[2], utf8(walk.text(first + 8, last))


class _Boxes:
    """Boxes of one file (ISO/IEC 14496-12, 4.2), of which only so many are looked at."""

    def __init__(self, read: Read, name: str) -> None:
        self.read = read
        self._name = name
        self._left = MAX_BOXES

    def within(self, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """(kind, where its content begins, where it ends)."""
        while start + 8 <= end:
            self._left -= 1
            head = self.read(start, 16)
            if self._left < 0:
                raise BadWorkflow(name=self._name, why=f"it has more than {MAX_BOXES} boxes")
            if len(head) < 8:
                return
            size, skip = int.from_bytes(head[:4]), 8
            if size == 1 and len(head) == 16:
                size, skip = int.from_bytes(head[8:]), 16
            stop = end if size == 0 else min(end, start + size)
            if stop < start + skip:
                return
            yield head[4:8], start + skip, stop
            start = stop

    def text(self, start: int, end: int) -> bytes:
        if end - start > MAX_TEXT:
            raise BadWorkflow(name=self._name, why=f"a text in it is larger than {MAX_TEXT} bytes")
        return self.read(start, max(0, end - start))


def webm_texts(read: Read, size: int, name: str) -> Texts:
    """The same of the simple tags. `size` of the file in bytes."""
    walk = _Elements(read, name)
    for kind, start, end in walk.within(0, size):
        if kind == _SEGMENT:
            for inner, first, last in walk.within(start, end):
                if inner == _TAGS:
                    yield from _tags(walk, first, last)


def _tags(walk: _Elements, start: int, end: int) -> Texts:
    for kind, begin, stop in walk.within(start, end):
        for inner, first, last in walk.within(begin, stop) if kind == _TAG else ():
            if inner == _SIMPLE:
                parts = {each: walk.text(low, high) for each, low, high in walk.within(first, last)}
                if _NAME in parts and _TEXT in parts and len(parts[_NAME]) < 80:
                    yield parts[_NAME].decode("utf-8", "replace").lower(), utf8(parts[_TEXT].rstrip(b"\0"))


class _Elements:
    """Elements of one file (RFC 8794, section 6), of which only so many are looked at."""

    def __init__(self, read: Read, name: str) -> None:
        self._read = read
        self._name = name
        self._left = MAX_BOXES

    def within(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(id, where its content begins, where it ends). One of unknown length goes to the end of what holds it."""
        while start + 2 <= end:
            self._left -= 1
            if self._left < 0:
                raise BadWorkflow(name=self._name, why=f"it has more than {MAX_BOXES} elements")
            head = self._read(start, 12)
            long = _width(head[:1], 4)
            wide = _width(head[long : long + 1], 8)
            if not long or not wide or len(head) < long + wide:
                return
            kind = int.from_bytes(head[:long])
            value = int.from_bytes(head[long : long + wide]) & ((1 << 7 * wide) - 1)
            begin = start + long + wide
            stop = end if value == (1 << 7 * wide) - 1 else min(end, begin + value)
            yield kind, begin, stop
            start = stop

    def text(self, start: int, end: int) -> bytes:
        if end - start > MAX_TEXT:
            raise BadWorkflow(name=self._name, why=f"a text in it is larger than {MAX_TEXT} bytes")
        return self._read(start, max(0, end - start))


def _width(first: bytes, most: int) -> int:
    """Bytes of a variable length number, by how its first one begins; 0 for none."""
    width = 9 - first[0].bit_length() if first and first[0] else 0
    return width if width <= most else 0
