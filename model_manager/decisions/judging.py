"""Are these the promised bytes, and are they a model at all?"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from model_manager.errors import BadRecord
from model_manager.facts import wire
from model_manager.facts.disk import Evidence, Held
from model_manager.facts.model import Model
from model_manager.facts.shelf import COMPANIONS
from model_manager.facts.transfer import Received

Format = Literal["safetensors", "gguf", "pickle", "zip", "onnx", "html", "json", "archive", "empty", "unknown"]
Unpinned = Literal["accept", "refuse"]

HEADER_LIMIT: Final = 100_000_000
"""Bytes that a safetensors header may have (the reference parser's own limit)."""

GGUF_TENSOR: Final = 24
GGUF_PAIR: Final = 13
"""Bytes that describing a tensor, or a key with its value, takes at least in a GGUF file."""

_MAGIC: Final[tuple[tuple[bytes, Format], ...]] = (
    (b"GGUF", "gguf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"Rar!", "archive"),
    (b"\x1f\x8b", "archive"),
    (b"\xfd7zXZ", "archive"),
    (b"\x28\xb5\x2f\xfd", "archive"),
    (b"BZh", "archive"),
    (b"\x89HDF", "archive"),
)
_BY_EXTENSION: Final[dict[str, frozenset[Format]]] = {
    ".safetensors": frozenset({"safetensors"}),
    ".sft": frozenset({"safetensors"}),
    ".gguf": frozenset({"gguf"}),
    ".onnx": frozenset({"onnx", "unknown"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    evidence: Evidence
    against: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """It must be read whole first."""


def format_of(head: bytes) -> Format:
    """What a file is by its first bytes, never by its name."""
    if not head:
        return "empty"
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    text = head.lstrip()[:15].lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<script", b"<body")):
        return "html"
    if len(head) >= 9 and head[8:9] == b"{" and 2 <= struct.unpack("<Q", head[:8])[0] <= HEADER_LIMIT:
        return "safetensors"
    if text[:1] in (b"{", b"["):
        return "json"
    if head[:1] == b"\x80" and len(head) > 1 and head[1] <= 5:
        return "pickle"
    if head[:2] == b"\x08\x0a" or (head[:1] == b"\x08" and len(head) > 2 and head[2:3] in (b"\x12", b"\x1a")):
        return "onnx"
    return "unknown"


def early(name: str, head: bytes) -> str | None:
    """Why a download need not go on, from its first bytes: a login page, a rate limit, another kind of file."""
    found = format_of(head)
    extension = _extension(name)
    if extension in COMPANIONS:
        return "it is a web page" if found == "html" else None
    if found == "html":
        return "it is a web page (a login or an error page), not weights"
    if found == "json":
        return "it is a JSON answer (an error message), not weights"
    expected = _BY_EXTENSION.get(extension)
    if expected and found not in expected and len(head) >= 9:
        return f"its first bytes are {found}, not {extension.lstrip('.')}"
    return None


def sound(name: str, head: bytes, header: bytes | None, size: int) -> str | None:
    """Why a complete file is not well formed, or None. `header` is a safetensors file's JSON header, if it has one.

    The end of the last tensor must be the end of the file: a free test for truncation where nobody promised a hash.
    """
    if size == 0:
        return "it is empty"
    if why := early(name, head):
        return why
    if format_of(head) == "safetensors" and _extension(name) in (".safetensors", ".sft"):
        return _whole_safetensors(head, header, size)
    if format_of(head) == "gguf":
        return _whole_gguf(head, size)
    if format_of(head) == "archive" and _extension(name) not in COMPANIONS:
        return "it is an archive or an HDF5 file, which no loader of models reads; unpack or convert it"
    return None


def header_length(head: bytes) -> int | None:
    """Bytes of a safetensors header, None for other formats or a length beyond the format's limit."""
    return struct.unpack("<Q", head[:8])[0] if format_of(head) == "safetensors" else None


def _whole_safetensors(head: bytes, header: bytes | None, size: int) -> str | None:
    length = struct.unpack("<Q", head[:8])[0]
    if 8 + length > size:
        return "its header is longer than the file"
    if header is None or len(header) != length:
        return f"its header of {length} bytes is longer than any that is read; give its sha256 in the catalog"
    try:
        tensors = wire.loads_unique(header, "safetensors header")
        end = _contiguous(tensor["data_offsets"] for key, tensor in tensors.items() if key != "__metadata__")
    except (BadRecord, AttributeError, TypeError, ValueError, KeyError):
        return "its header is not a safetensors header"
    if 8 + length + end != size:
        return f"its header describes {8 + length + end} bytes, the file has {size}"
    return None


def _contiguous(offsets: Iterable[list[int]]) -> int:
    """Where the last tensor ends. Raises ValueError for gaps and overlaps, which the reference parser refuses too."""
    reached = 0
    for start, end in sorted(offsets):
        if not (type(start) is type(end) is int and reached == start <= end):
            raise ValueError("tensors overlap or leave gaps")
        reached = end
    return reached


def _whole_gguf(head: bytes, size: int) -> str | None:
    """Counts that cannot be in a file of its size. Version 2 and later, little-endian (ggml's docs/gguf.md)."""
    if len(head) < 24:
        return "it ends within its header"
    version, tensors, pairs = struct.unpack("<IQQ", head[4:24])
    if version in (2, 3) and 24 + tensors * GGUF_TENSOR + pairs * GGUF_PAIR > size:
        return f"its header counts {tensors} tensors and {pairs} settings, more than {size} bytes can hold"
    return None


def received(model: Model, got: Received, unsound: str | None, *, announced: bool, unpinned: Unpinned) -> Right | Wrong:
    """The verdict on a complete download. A pin outranks the origin's promise, which outranks length and format.

    `unsound` is what `sound` said; `announced` whether anybody said beforehand how long it is.
    """
    size, digests, promise = got.size, got.digests, got.promise
    for pin in (model.pin, promise):
        if pin and pin.agrees(digests) is False:
            return Wrong(why=f"its hash is {pin.compared(digests)}, promised was {pin}")
    if model.pin and model.pin.strong and not model.pin.agrees(digests):
        return Wrong(why=f"its hash is {digests}, which cannot be compared with the promised {model.pin}")
    strong = [(pin, kind) for pin, kind in ((model.pin, "pin"), (promise, "origin")) if pin and pin.agrees(digests)]
    if unsound and not (model.pin and model.pin.strong):
        return Wrong(why=unsound)
    if model.size and model.size.exact and model.size.bytes != size and not (model.pin and model.pin.strong):
        return Wrong(why=f"it has {size} bytes, the catalog says {model.size.bytes}")
    for pin, kind in strong:
        return Right(evidence="pin" if kind == "pin" else "origin", against=str(pin))
    if unpinned == "refuse":
        return Wrong(why="nobody gives a hash for it, and MODEL_MANAGER_UNPINNED is refuse")
    if not announced and not _tells_its_length(model.path.name):
        return Wrong(why="nobody says how long it is, so an end in the middle would not be seen; add its size or hash")
    return Right(evidence="length")


def _tells_its_length(name: str) -> bool:
    """Whether a well-formed file of this kind proves its own length."""
    return _extension(name) in (".safetensors", ".sft")


def standing(model: Model, held: Held, unpinned: Unpinned) -> Right | Wrong | Undecided:
    """Whether a file that lies in the model's place is that model, as far as is known without reading it."""
    if model.pin and held.digests:
        agrees = model.pin.agrees(held.digests)
        if agrees is None:
            return Undecided()
        return Right(evidence="pin", against=str(model.pin)) if agrees else Wrong(why=f"its hash is not {model.pin}")
    if model.pin:
        return Undecided()
    size = model.size.bytes if model.size and model.size.exact else held.fingerprint.size
    if size != held.fingerprint.size and held.evidence != "origin":
        return Wrong(why=f"it has {held.fingerprint.size} bytes, the catalog says {size}")
    if held.evidence is None:
        return Undecided() if held.digests is None else Wrong(why="it is not a well-formed model file")
    if unpinned == "refuse" and held.evidence not in ("pin", "origin"):
        return Wrong(why="nobody gives a hash for it, and MODEL_MANAGER_UNPINNED is refuse")
    return Right(evidence=held.evidence, against=held.against)


def _extension(name: str) -> str:
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""
