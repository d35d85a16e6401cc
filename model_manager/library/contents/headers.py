"""What a model file says of itself: the `__metadata__` of a safetensors header, the keys of a GGUF file; bounded, never unpickled.

A safetensors header has up to 100 MB, of which LoRA trainers' metadata can be most (ss_tag_frequency); tensors are skipped without
being parsed. GGUF: ggml's docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterator
from typing import Final

from model_manager.errors import BadContent, BadRecord
from model_manager.facts import wire
from model_manager.facts.description import Oddity
from model_manager.library.disk import opened, translating

HEADER_LIMIT: Final = 100_000_000
"""Bytes that a safetensors header may have (the reference parser's own limit)."""

METADATA_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of `__metadata__` that are looked at."""

VALUE_LIMIT: Final = 4 * 1024 * 1024
PLAIN_LIMIT: Final = 65_536
"""Bytes of a value that is kept: of ss_tag_frequency, and of any other."""

KEYS: Final = 500
"""Keys that are kept of one file."""

GGUF_WINDOW: Final = 1 << 20
"""Bytes at the start of a GGUF file in which its keys are looked for; writers put the general ones first."""

WINDOW: Final = 1 << 20
_OVERLAP: Final = 256
_KEPT: Final = ("ss_", "sshs_", "modelspec.", "format", "general.")
_LEFT_OUT: Final = frozenset({"modelspec.thumbnail", "ss_bucket_info", "ss_dataset_dirs", "ss_datasets"})
_METADATA = re.compile(rb'(?<=[{,])\s*+"__metadata__"\s*+:\s*+\{')
_PAIR = re.compile(rb'\s*+"((?:[^"\\]++|\\.)*+)"\s*+:\s*+("(?:[^"\\]++|\\.)*+")\s*+([,}])')
_FIXED: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""GGUF value types of fixed length → their struct code."""

_STRING: Final = 8
_ARRAY: Final = 9


def read(file: str) -> tuple[dict[str, str], tuple[Oddity, ...]]:
    """Key → text of what a model file tells of itself, and what of it could not be read.

    Other formats tell nothing. Raises BadContent for what is no regular file, DiskUnavailable for what cannot be read.
    """
    with translating(file, "read"), opened(file, os.O_RDONLY | os.O_NONBLOCK) as fd:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode):
            raise BadContent(name=file, why="it is not a regular file")
        head = os.pread(fd, 24, 0)
        if head.startswith(b"GGUF"):
            return _gguf(file, os.pread(fd, GGUF_WINDOW, 0))
        length = int.from_bytes(head[:8], "little")
        if len(head) < 9 or head[8:9] != b"{" or not 2 <= length <= min(HEADER_LIMIT, state.st_size - 8):
            return {}, ()
        return _safetensors(file, fd, length)


def _safetensors(file: str, fd: int, length: int) -> tuple[dict[str, str], tuple[Oddity, ...]]:
    start = _metadata_at(fd, 8 + length)
    if start is None:
        return {}, ()
    found: dict[str, str] = {}
    end = min(8 + length, start + METADATA_LIMIT)
    closed = False
    for pair in _pairs(_exactly(fd, end - start, start)):
        key, value = _text(pair[1]), pair[2]
        if key is not None and len(found) < KEYS and _is_kept(key, len(value)) and (text := _text(value[1:-1])):
            found.setdefault(key, text)
        closed = pair[3] == b"}"
    if not closed and found:
        return found, (
            Oddity(where=file, why=f"its metadata is no object of texts, or ends after {end - start} bytes"),
        )
    return found, ()


def _metadata_at(fd: int, end: int) -> int | None:
    """Where the pairs of `__metadata__` begin. Within a JSON text its quotes would be escaped, so a plain search finds it."""
    at = 8
    while at < end:
        window = os.pread(fd, min(WINDOW, end - at), at)
        if hit := _METADATA.search(window):
            return at + hit.end()
        if at + len(window) >= end or len(window) <= _OVERLAP:
            return None
        at += len(window) - _OVERLAP
    return None


def _pairs(data: bytes) -> Iterator[re.Match[bytes]]:
    at = 0
    while hit := _PAIR.match(data, at):
        yield hit
        if hit[3] == b"}":
            return
        at = hit.end()


def _is_kept(key: str, size: int) -> bool:
    wanted = key.startswith(_KEPT) and key not in _LEFT_OUT
    return wanted and size <= (VALUE_LIMIT if key == "ss_tag_frequency" else PLAIN_LIMIT)


def _text(quoted: bytes) -> str | None:
    try:
        found = wire.loads(b'"' + quoted + b'"')
    except BadRecord:
        return None
    return found if isinstance(found, str) else None


def _exactly(fd: int, size: int, start: int) -> bytes:
    """`size` bytes, or fewer at the end of the file. Memory follows the file, not the announcement."""
    pieces: list[bytes] = []
    while size > 0 and (piece := os.pread(fd, min(size, WINDOW), start)):
        pieces.append(piece)
        start += len(piece)
        size -= len(piece)
    return b"".join(pieces)


class _End(Exception):
    """The window ends here, or something that cannot be. Never leaves this file."""


def _gguf(file: str, data: bytes) -> tuple[dict[str, str], tuple[Oddity, ...]]:
    found: dict[str, str] = {}
    if len(data) < 24:
        return found, ()
    version, _, pairs = struct.unpack_from("<IQQ", data, 4)
    if version not in (2, 3):
        return found, (Oddity(where=file, why=f"its GGUF version {version} is none that is known"),)
    reader = _Gguf(data, 24)
    try:
        for _ in range(min(pairs, KEYS)):
            key, value = reader.text(), reader.value()
            if value and key.startswith("general."):
                found.setdefault(key, value)
    except _End:
        return found, ()
    return found, ()


class _Gguf:
    """The pairs of a GGUF header, one after the other. Every method raises _End where the data cannot go on."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def text(self) -> str:
        return self._bytes(int(self._number("Q"))).decode("utf-8", "replace")

    def value(self) -> str | None:
        """The next value as text; None for arrays and for texts too long to be kept."""
        kind = int(self._number("I"))
        if kind == _STRING:
            text = self.text()
            return text if len(text) <= PLAIN_LIMIT else None
        if kind == _ARRAY:
            self._skip_array()
            return None
        return str(self._number(self._code(kind)))

    def _skip_array(self) -> None:
        kind, count = int(self._number("I")), int(self._number("Q"))
        if kind == _STRING:
            for _ in range(count):
                self._bytes(int(self._number("Q")))
        else:
            self._bytes(count * struct.calcsize(f"<{self._code(kind)}"))

    def _code(self, kind: int) -> str:
        if kind not in _FIXED:
            raise _End
        return _FIXED[kind]

    def _number(self, code: str) -> float:
        (found,) = struct.unpack(f"<{code}", self._bytes(struct.calcsize(f"<{code}")))
        number: float = found
        return number

    def _bytes(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise _End
        self._at += size
        return self._data[self._at - size : self._at]
