"""What ComfyUI writes into the pictures that it saves: the workflow and the prompt, as text beside the pixels.

PNG: chunks `tEXt`, `zTXt`, `iTXt` named `prompt` and `workflow` (ComfyUI nodes.py, SaveImage; PNG specification, 11.3.3), and
`comf` of animated ones (comfy_extras/nodes_images.py, SaveAnimatedPNG). WebP and JPEG: EXIF texts `prompt:{…}` and
`workflow:{…}`, in the tags 0x0110, 0x010f and below (SaveAnimatedWEBP). Pixels are never read: chunks are stepped over.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from model_manager.errors import BadWorkflow

Read = Callable[[int, int], bytes]
"""So many bytes from an offset on, fewer at the end of the file."""

MAX_TEXT: Final = 32 * 1024 * 1024
"""Bytes of one text, after it was expanded."""

MAX_CHUNKS: Final = 200_000
"""Chunks that are stepped over: a picture of a gigabyte has about so many."""

MAX_TAGS: Final = 1000

WANTED: Final = frozenset({b"prompt", b"workflow"})
"""Texts that are looked at; packed ones of other names are not even expanded."""

PNG: Final = b"\x89PNG\r\n\x1a\n"


def png_texts(read: Read, name: str) -> Iterator[tuple[str, bytes]]:
    """(keyword in lower case, text in UTF-8). Raises BadWorkflow(name) for texts beyond the limits."""
    at = len(PNG)
    for _ in range(MAX_CHUNKS):
        head = read(at, 8)
        if len(head) < 8:
            return
        length, kind = int.from_bytes(head[:4]), head[4:]
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"comf"):
            if length > MAX_TEXT:
                raise _too_much(name)
            yield from _png_text(kind, read(at + 8, length), name)
        if kind == b"IEND":
            return
        at += 12 + length
    raise BadWorkflow(name=name, why=f"it has more than {MAX_CHUNKS} chunks")


def _png_text(kind: bytes, body: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    keyword, zero, rest = body.partition(b"\0")
    if not zero or keyword.lower() not in WANTED:
        return
    if kind == b"zTXt":
        rest = expanded(rest[1:], name)
    elif kind == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:]
        _, _, rest = rest.partition(b"\0")
        _, _, rest = rest.partition(b"\0")
        rest = expanded(rest, name) if packed else rest
    yield keyword.decode("latin-1").lower(), utf8(rest)


def expanded(data: bytes, name: str) -> bytes:
    """What zlib packed. Raises BadWorkflow when it is no zlib, or more than MAX_TEXT."""
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(data, MAX_TEXT)
    except zlib.error:
        raise BadWorkflow(name=name, why="a packed text in it is damaged") from None
    if stream.unconsumed_tail:
        raise _too_much(name)
    return body


def utf8(text: bytes) -> bytes:
    """A text as UTF-8: writers take it where the standard says Latin-1."""
    try:
        text.decode()
        return text
    except UnicodeDecodeError:
        return text.decode("latin-1").encode()


def webp_texts(read: Read, name: str) -> Iterator[tuple[str, bytes]]:
    """The same of a RIFF file: the chunk `EXIF` (WebP container specification)."""
    at = 12
    for _ in range(MAX_CHUNKS):
        head = read(at, 8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF":
            if length > MAX_TEXT:
                raise _too_much(name)
            yield from exif_texts(read(at + 8, length))
            return
        at += 8 + length + length % 2
    raise BadWorkflow(name=name, why=f"it has more than {MAX_CHUNKS} chunks")


def jpeg_texts(read: Read, name: str) -> Iterator[tuple[str, bytes]]:
    """The same of a JPEG: the segment APP1 (Exif 2.3, 4.7.2)."""
    at = 2
    for _ in range(MAX_TAGS):
        head = read(at, 4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xDA, 0xD9):
            return
        length = int.from_bytes(head[2:])
        if head[1] == 0xE1:
            yield from exif_texts(read(at + 4, max(0, length - 2)))
        at += 2 + max(2, length)
    raise BadWorkflow(name=name, why=f"it has more than {MAX_TAGS} segments before its picture")


def exif_texts(data: bytes) -> Iterator[tuple[str, bytes]]:
    """`keyword:text` of the ASCII tags of the first directory (TIFF 6.0, section 2). What is no EXIF has none."""
    tiff = data.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return
    (first,) = struct.unpack_from(f"{order}I", tiff, 4)
    if first + 2 > len(tiff):
        return
    (count,) = struct.unpack_from(f"{order}H", tiff, first)
    left = MAX_TEXT
    for number in range(min(count, MAX_TAGS)):
        place = first + 2 + 12 * number
        if place + 12 > len(tiff):
            return
        _, kind, length, offset = struct.unpack_from(f"{order}HHII", tiff, place)
        if kind != 2 or length > left:
            continue
        left -= length
        text = tiff[place + 8 : place + 8 + length] if length <= 4 else tiff[offset : offset + length]
        keyword, colon, value = text.rstrip(b"\0").partition(b":")
        if colon and len(keyword) < 80:
            yield keyword.decode("latin-1").strip().lower(), utf8(value)


def _too_much(name: str) -> BadWorkflow:
    return BadWorkflow(name=name, why=f"a text in it is larger than {MAX_TEXT} bytes")
