"""What ComfyUI writes into the sounds that it saves besides FLAC, and into meshes: the workflow and the prompt.

Opus: comments `prompt` and `workflow` in the second packet of the stream; MP3: frames `TXXX` of the ID3 tag (both: comfy_extras/
nodes_audio.py by way of ffmpeg). GLB: `asset.extras` (comfy_extras/nodes_hunyuan3d.py, save_glb). Nothing behind that is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from model_manager.errors import BadRecord, BadWorkflow
from model_manager.facts import wire
from model_manager.library.carried.pictures import MAX_TEXT, Read, utf8
from model_manager.library.carried.recordings import MAX_BOXES, Texts, comments

_HEADS: Final = (b"OpusTags", b"\x03vorbis")
"""How the packet of comments begins (RFC 7845, 5.2; Vorbis I, 4.2.1)."""

_CODECS: Final = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
"""Encodings of a text (ID3v2.4, structure, 4)."""


def ogg_texts(read: Read, name: str) -> Texts:
    """(name in lower case, text in UTF-8) of every comment of the first stream (RFC 3533, 6). Raises BadWorkflow(name)."""
    packet = _second_packet(read, name)
    for head in _HEADS:
        if packet.startswith(head):
            yield from comments(packet[len(head) :], name)


def _second_packet(read: Read, name: str) -> bytes:
    """Pages of other streams are stepped over; one packet may take many pages."""
    pieces: list[bytes] = []
    size = finished = 0
    for serial, first, start, lengths in _pages(read):
        if serial != first:
            continue
        for length in lengths:
            if finished == 1:
                size += length
                pieces.append(read(start, length))
            start += length
            finished += length < 255
            if finished == 2:
                return b"".join(pieces)
        if size > MAX_TEXT:
            raise BadWorkflow(name=name, why=f"its comments are larger than {MAX_TEXT} bytes")
    return b""


def _pages(read: Read) -> Iterator[tuple[bytes, bytes, int, bytes]]:
    """(stream, the first page's stream, where the content begins, the lengths of its segments)."""
    at, first = 0, b""
    for _ in range(MAX_BOXES):
        head = read(at, 27)
        if len(head) < 27 or not head.startswith(b"OggS"):
            return
        serial = head[14:18]
        first = first or serial
        lengths = read(at + 27, head[26])
        start = at + 27 + head[26]
        yield serial, first, start, lengths
        at = start + sum(lengths)


def mp3_texts(read: Read, name: str) -> Texts:
    """The same of the texts with names of their own in an ID3v2.3 or 2.4 tag; pictures in it are stepped over."""
    head = read(0, 10)
    if len(head) < 10:
        return
    version, flags = head[3], head[5]
    at, end = 10, 10 + _synchsafe(head[6:10])
    if flags & 0x40:
        more = read(at, 4)
        at += _synchsafe(more) if version == 4 else 4 + int.from_bytes(more)
    for _ in range(MAX_BOXES):
        frame = read(at, 10)
        if version not in (3, 4) or at + 10 > end or len(frame) < 10 or frame[0] == 0:
            return
        length = _synchsafe(frame[4:8]) if version == 4 else int.from_bytes(frame[4:8])
        if frame[:4] == b"TXXX":
            if length > MAX_TEXT:
                raise BadWorkflow(name=name, why=f"a text in it is larger than {MAX_TEXT} bytes")
            yield from _named(read(at + 10, min(length, end - at - 10)))
        at += 10 + length


def _synchsafe(digits: bytes) -> int:
    """Four times seven bits (ID3v2.4, structure, 6.2)."""
    return sum((digit & 0x7F) << 7 * place for place, digit in enumerate(reversed(digits)))


def _named(body: bytes) -> Texts:
    """A frame TXXX: encoding, name, zero, text."""
    codec = _CODECS.get(body[0] if body else -1)
    if codec is None:
        return
    key, zero, value = body[1:].decode(codec, "replace").partition("\0")
    if zero and len(key) < 80:
        yield key.lower().removeprefix("\ufeff"), value.removeprefix("\ufeff").rstrip("\0").encode("utf-8", "replace")


def glb_texts(read: Read, name: str) -> Texts:
    """The same of `asset.extras`: texts, or objects (glTF 2.0, 4.4, and 3.9 for extras)."""
    head = read(12, 8)
    length = int.from_bytes(head[:4], "little")
    if head[4:] != b"JSON":
        return
    if length > MAX_TEXT:
        raise BadWorkflow(name=name, why=f"a text in it is larger than {MAX_TEXT} bytes")
    try:
        document = wire.loads_lenient(read(20, length), name)
    except BadRecord as error:
        raise BadWorkflow(**error.facts) from None
    for key, value in _extras(document).items():
        if isinstance(value, str):
            yield key.lower(), utf8(value.encode("utf-8", "replace"))
        elif isinstance(value, dict):
            yield key.lower(), json.dumps(value).encode()


def _extras(document: Any) -> dict[str, Any]:
    asset = document.get("asset") if isinstance(document, dict) else None
    extras = asset.get("extras") if isinstance(asset, dict) else None
    return extras if isinstance(extras, dict) else {}
