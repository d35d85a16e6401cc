"""What HuggingFace's tools noted of files that they downloaded into a plain directory.

`<directory>/.cache/huggingface/download/<path>.metadata` has three lines: the commit, the ETag, and the Unix time of the download
(huggingface_hub, _local_folder.py). The ETag of a large file is its SHA-256; of a small one the SHA-1 of git, with 40 digits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from model_manager.errors import BadForeign, DiskUnavailable
from model_manager.facts.description import Claim, Findings, Lore, Oddity
from model_manager.neighbours import documents

MAX_NOTES: Final = 100_000
"""Notes of one directory."""

MAX_DIRECTORIES: Final = 2_000
DEPTH: Final = 2
"""How far below a models directory a download directory is looked for, and in how many places."""

LEEWAY: Final = 1.0
"""Seconds by which a file may be younger than its note, as huggingface_hub itself allows (coarse file systems)."""

_NOTES: Final = os.path.join(".cache", "huggingface", "download")
_ENDING: Final = ".metadata"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT = re.compile(r"[0-9a-f]{40}")
_MAX_NOTE: Final = 4096


def read(directory: str, at: str) -> Findings:
    """The hashes of downloads into a directory, or into one of the folders up to DEPTH below it. Where nothing was downloaded
    so, nothing is found."""
    lore: list[Lore] = []
    odd: list[Oddity] = []
    for place in _places(directory):
        for note in _notes(os.path.join(place, _NOTES)):
            found = _noted(place, note)
            if isinstance(found, Lore):
                lore.append(found)
            elif found is not None:
                odd.append(found)
    return Findings(lore=tuple(lore), odd=tuple(odd))


def _places(directory: str) -> Iterator[str]:
    """Directories, from the given one down, that have notes."""
    level, seen = [directory], 0
    for _ in range(DEPTH + 1):
        below: list[str] = []
        for place in level[: MAX_DIRECTORIES - seen]:
            seen += 1
            if os.path.isdir(os.path.join(place, _NOTES)):
                yield place
            with suppress(OSError), os.scandir(place) as entries:
                below += [entry.path for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
        level = sorted(below)


def _notes(folder: str) -> Iterator[str]:
    """The notes below a folder, links not followed."""
    left = MAX_NOTES
    for path, _, names in os.walk(folder):
        for name in sorted(names):
            if name.endswith(_ENDING) and (left := left - 1) >= 0:
                yield os.path.join(path, name)


def _noted(place: str, note: str) -> Lore | Oddity | None:
    """What one note says; None for a small file, of which it says nothing that we use, and for one that left."""
    file = os.path.join(place, os.path.relpath(note, os.path.join(place, _NOTES)).removesuffix(_ENDING))
    state = documents.state_of(file)
    if state is None:
        return None
    try:
        lines = documents.content(note, _MAX_NOTE).decode("ascii", "replace").split()
    except (BadForeign, DiskUnavailable) as error:
        return Oddity(where=note, why=str(error.facts["why"]))
    etag, when = lines[1].strip('"').lower() if len(lines) == 3 else "", _seconds(lines[-1:])
    if when is None or not (_SHA256.fullmatch(etag) or _GIT.fullmatch(etag)):
        return Oddity(where=note, why="it has not the three lines of a download note")
    if state.st_mtime - LEEWAY > when:
        return Oddity(where=file, why="it changed after its download, so the hash that was noted then is left out")
    claim = Claim.parse(etag, "huggingface", "sha256") if len(etag) == 64 else None
    return Lore(file=file, size=state.st_size, mtime=state.st_mtime, claims=(claim,)) if claim else None


def _seconds(lines: list[str]) -> float | None:
    try:
        return float(lines[0]) if lines else None
    except ValueError:
        return None
