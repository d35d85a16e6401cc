"""The hash caches of A1111 and Forge: `cache.json`, and since 2024 the directories `cache/hashes` and `cache/hashes-addnet`.

Both hold title → {"mtime", "sha256"} (modules/hashes.py, modules/cache.py). A title is `checkpoint/<path below its folder>` or
`lora/<name without ending>`; in "hashes-addnet" the value is the hash of the tensors alone. Forge for a time entered the hash of a
file's name instead of its bytes (`forge_fake_calculate_sha256`).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from model_manager.errors import BadRecord
from model_manager.facts import wire
from model_manager.facts.companions import stem
from model_manager.facts.description import Claim, Findings, Lore, Oddity
from model_manager.facts.identity import Algorithm
from model_manager.neighbours import databases, documents, opcodes

SECOND: Final = 0.001
"""Seconds by which two mtimes may differ that were kept as floats."""

SECTIONS: Final[Mapping[str, Algorithm]] = {"hashes": "sha256", "hashes-addnet": "tensor"}
WINDOW: Final = 1 << 20
OVERLAP: Final = 1 << 13
"""Bytes of cache.json that are looked at together, and by which two looks overlap: longer entries are not found. The file also
holds the headers of all LoRAs and may have gigabytes."""

MAX_TITLE: Final = 1500
"""Bytes of a title in its file."""

_ENTRY = re.compile(
    rb'"\s*+:\s*+\{\s*+"mtime"\s*+:\s*+(?P<mtime>[0-9.eE+-]{1,40}+)\s*+,\s*+"sha256"\s*+:\s*+"(?P<hex>[0-9A-Fa-f]{64})"\s*+\}'
    rb'|"(?P<section>hashes|hashes-addnet|safetensors-metadata)"\s*+:\s*+\{'
)
"""An entry from the end of its title on, or the beginning of a section. Within a JSON text the quotes would be escaped."""

_CACHE: Final = {"Cache": ("key", "raw", "mode", "value")}
_PICKLED: Final = 4
"""The mode of a value in diskcache's table that is pickled (diskcache, core.py: MODE_PICKLE)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    title: str
    mtime: float
    hex: str
    algorithm: Algorithm


def read(directory: str, known: Mapping[str, int]) -> Findings:
    """What the web UI whose data directory this is knows of the model files in `known` (absolute path → mtime in ns).

    An entry counts for the one known file that its title can mean and whose mtime it names. Entries of files that are not known
    are nothing; a stale one, one that fits two files and a hash of a name are oddities. Where there is no cache, nothing is
    known. Raises BadForeign for a cache that is none, ForeignBusy, DiskUnavailable.
    """
    names = _Names(known)
    found: dict[tuple[str, Algorithm], Lore] = {}
    odd: list[Oddity] = []
    for entry in _entries(directory, odd):
        meant = names.meant(entry.title)
        if meant:
            known_ = _judged(entry, meant, known)
            if isinstance(known_, Lore):
                found.setdefault((known_.file, entry.algorithm), known_)
            else:
                odd.append(known_)
    return Findings(lore=tuple(found.values()), odd=tuple(odd))


class _Names:
    """Known files by what a title can call them."""

    def __init__(self, known: Mapping[str, int]) -> None:
        self._files: dict[str, list[str]] = defaultdict(list)
        for file in known:
            name = os.path.basename(file)
            for key in {name, stem(name)}:
                self._files[key].append(file)

    def meant(self, title: str) -> list[str]:
        """The files that a title can mean: `checkpoint/sub/x.ckpt` ends so, `lora/x` has this name without its ending."""
        rest = title.replace("\\", "/").partition("/")[2].strip("/")
        files = self._files.get(rest.rpartition("/")[2], [])
        return [file for file in files if f"/{rest}" in (file[-len(rest) - 1 :], stem(file)[-len(rest) - 1 :])]


def _judged(entry: _Entry, meant: list[str], known: Mapping[str, int]) -> Lore | Oddity:
    where = f"{entry.title} ({entry.algorithm})"
    same = [file for file in meant if abs(known[file] / 1e9 - entry.mtime) < SECOND]
    if not same:
        return Oddity(where=where, why="the file was written since its hash was taken")
    if len(same) > 1:
        return Oddity(where=where, why=f"it can be any of {len(same)} files of the same name and time")
    if entry.hex in _of_names(entry.title, same[0]):
        return Oddity(where=where, why="it is the hash of the file's name, not of its bytes (Forge)")
    claim = Claim.parse(entry.hex, "a1111", entry.algorithm)
    if claim is None:
        return Oddity(where=where, why="it is a placeholder, or the hash of an empty file")
    return Lore(file=same[0], mtime=entry.mtime, claims=(claim,))


def _of_names(title: str, file: str) -> set[str]:
    name = os.path.basename(file)
    texts = {title, title.partition("/")[2], os.path.basename(title), name, stem(name), file}
    return {hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in texts}


def _entries(directory: str, odd: list[Oddity]) -> Iterator[_Entry]:
    single = os.path.join(directory, "cache.json")
    if os.path.lexists(single):
        yield from _in_json(single)
    for section, algorithm in SECTIONS.items():
        path = os.path.join(directory, "cache", section, "cache.db")
        if os.path.lexists(path):
            yield from _in_store(path, algorithm, odd)


def _in_json(path: str) -> Iterator[_Entry]:
    algorithm: Algorithm | None = None
    with documents.opened(path) as fd:
        rest = b""
        while piece := os.read(fd, WINDOW):
            text, end = rest + piece, 0
            for hit in _ENTRY.finditer(text):
                if hit["section"]:
                    algorithm = SECTIONS.get(hit["section"].decode())
                elif algorithm and (entry := _entry(_title(text, hit.start()), hit["mtime"], hit["hex"], algorithm)):
                    yield entry
                end = hit.end()
            rest = text[max(end, len(text) - OVERLAP) :]


def _title(text: bytes, end: int) -> bytes:
    """The raw text before the quote at `end`, back to the quote that opens it."""
    at = end
    while (at := text.rfind(b'"', max(0, end - MAX_TITLE), at)) >= 0:
        before = text[max(0, at - MAX_TITLE) : at]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return text[at + 1 : end]
    return b""


def _entry(title: bytes, mtime: bytes, digits: bytes, algorithm: Algorithm) -> _Entry | None:
    try:
        name, when = wire.loads(b'"' + title + b'"'), float(mtime)
    except (BadRecord, ValueError):
        return None
    return _Entry(title=name, mtime=when, hex=digits.decode().lower(), algorithm=algorithm)


def _in_store(path: str, algorithm: Algorithm, odd: list[Oddity]) -> Iterator[_Entry]:
    tables, strange = databases.tables(path, _CACHE)
    odd += strange
    for row in tables.get("Cache", databases.Table()).rows:
        key, value = row.get("key"), row.get("value")
        if row.get("raw") != 1 or not isinstance(key, str) or row.get("mode") != _PICKLED:
            continue
        plain = opcodes.flat(value) if isinstance(value, bytes) else None
        when, digits = (plain or {}).get("mtime"), (plain or {}).get("sha256")
        if isinstance(when, (int, float)) and isinstance(digits, str) and len(digits) == 64:
            yield _Entry(title=key, mtime=when, hex=digits.lower(), algorithm=algorithm)
        elif plain is None or digits:
            odd.append(Oddity(where=f"{path}, {key}", why="its value is no plain record of an mtime and a hash"))
