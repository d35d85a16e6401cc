"""The workflow that a file carries: a picture, film, sound or mesh that ComfyUI saved, or the JSON itself."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from model_manager.errors import BadRecord, BadWorkflow
from model_manager.facts import wire
from model_manager.library.carried.pictures import MAX_TEXT, PNG, Read, jpeg_texts, png_texts, webp_texts
from model_manager.library.carried.recordings import flac_texts, mp4_texts, webm_texts
from model_manager.library.carried.sounds import glb_texts, mp3_texts, ogg_texts
from model_manager.library.disk import translating

MAX_TEXTS: Final = 4 * MAX_TEXT
"""Bytes of all texts of one file together."""

_SIGNS: Final = {
    b"fLaC": "flac", b"OggS": "ogg", b"ID3": "mp3", b"glTF": "glb", b"\x1a\x45\xdf\xa3": "webm",
}  # fmt: skip
"""First bytes → what a file is."""

_BRANDS: Final = frozenset({b"avif", b"avis", b"heic", b"heix", b"mif1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """The texts of one file, as UTF-8, None for what it does not carry. `prompt` is what ran (the API form), `workflow` what was
    drawn. `document`: the file is itself JSON, and this is all of it; only such a file can be written back to."""

    prompt: bytes | None = None
    workflow: bytes | None = None
    document: bytes | None = None

    @property
    def empty(self) -> bool:
        return self.prompt is None and self.workflow is None and self.document is None


def embedded(path: str | os.PathLike[str]) -> Embedded:
    """What a file carries. Bytes that are no picture, film or sound that we know are taken as JSON.

    Time and memory are bounded whatever the file says of itself. Raises BadWorkflow for what goes beyond the bounds and
    for a file that carries nothing, DiskUnavailable.
    """
    name = os.path.basename(os.fspath(path))
    with translating(str(path), "read"), _opened(path, name) as descriptor:
        return _carried(partial(_read, descriptor), os.fstat(descriptor).st_size, name)


def embedded_in(data: bytes, name: str) -> Embedded:
    """The same for the bytes of a file that was sent. Raises BadWorkflow."""
    return _carried(lambda start, size: data[start : start + max(size, 0)], len(data), name)


def _carried(read: Read, size: int, name: str) -> Embedded:
    kind = _kind(read(0, 16))
    if kind == "json":
        return _document(read, size, name)
    found = _taken(_texts(kind, read, size, name), name)
    if found.empty:
        raise BadWorkflow(name=name, why=f"this {kind} carries neither a workflow nor a prompt")
    return found


@contextmanager
def _opened(path: str | os.PathLike[str], name: str) -> Iterator[int]:
    """Only a regular file: a pipe would have us wait for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadWorkflow(name=name, why="it is no regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def _read(descriptor: int, start: int, size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := os.pread(descriptor, size, start)):
        pieces.append(piece)
        start, size = start + len(piece), size - len(piece)
    return b"".join(pieces)


def _kind(head: bytes) -> str:
    """What a file is by its first bytes."""
    if head.startswith(PNG):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[4:8] == b"ftyp" and head[8:12] not in _BRANDS:
        return "mp4"
    return next((kind for sign, kind in _SIGNS.items() if head.startswith(sign)), "json")


def _texts(kind: str, read: Read, size: int, name: str) -> Iterable[tuple[str, bytes]]:
    match kind:
        case "png":
            return png_texts(read, name)
        case "webp":
            return webp_texts(read, name)
        case "jpeg":
            return jpeg_texts(read, name)
        case "flac":
            return flac_texts(read, name)
        case "ogg":
            return ogg_texts(read, name)
        case "mp3":
            return mp3_texts(read, name)
        case "glb":
            return glb_texts(read, name)
        case "mp4":
            return mp4_texts(read, size, name)
        case _:
            return webm_texts(read, size, name)


def _document(read: Read, size: int, name: str) -> Embedded:
    if size > MAX_TEXT:
        raise BadWorkflow(name=name, why=f"it is larger than {MAX_TEXT} bytes, and no picture that is known")
    return Embedded(document=read(0, size))


def _taken(texts: Iterable[tuple[str, bytes]], name: str) -> Embedded:
    """The first of each that is an object. A comment may hold both."""
    found: dict[str, bytes] = {}
    left = MAX_TEXTS
    for key, text in texts:
        left -= len(text)
        if left < 0:
            raise BadWorkflow(name=name, why=f"its texts are larger than {MAX_TEXTS} bytes together")
        if key in ("prompt", "workflow") and key not in found and text.lstrip()[:1] == b"{":
            found[key] = text
        elif key == "comment":
            found = _of_comment(text) | found
        if len(found) == 2:
            break
    return Embedded(prompt=found.get("prompt"), workflow=found.get("workflow"))


def _of_comment(text: bytes) -> dict[str, bytes]:
    """`{"prompt": …, "workflow": …}`, each as an object or as its JSON in a text (VideoHelperSuite, nodes.py)."""
    try:
        content = wire.loads_lenient(text, "a comment")
    except BadRecord:
        return {}
    members = content if isinstance(content, dict) else {}
    return {key: _object(members[key]) for key in ("prompt", "workflow") if members.get(key)}


def _object(value: Any) -> bytes:
    return value.encode("utf-8", "replace") if isinstance(value, str) else json.dumps(value).encode()
