"""Two files with the same bytes, indexed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from model_manager.facts.duplicate import Copy, How, Replacement
from model_manager.facts.shelf import ShelfPath
from model_manager.library.disk import fingerprint
from tests.library.shelves import put

OLD = 1_600_000_000 * 10**9
"""Of the copy: mtime in ns, with a mode that the kept file does not have."""


@dataclass(frozen=True)
class Twins:
    kept: Path
    copy: Path
    data: bytes

    def step(self, how: How = "hard link") -> Replacement:
        """As an index that looks now would have it."""
        return Replacement(copy=indexed(self.copy), by=indexed(self.kept), how=how)


def indexed(file: Path) -> Copy:
    shelf = ShelfPath(folder=file.parent.name, name=file.name)
    return Copy(file=str(file), root=str(file.parent.parent), shelf=shelf, fingerprint=fingerprint(file.stat()))


def twins(directory: Path, size: int = 100_000) -> Twins:
    data = os.urandom(size)
    pair = Twins(
        kept=put(directory / "store" / "a.safetensors", data),
        copy=put(directory / "web" / "b.safetensors", data),
        data=data,
    )
    os.chmod(pair.copy, 0o640)
    os.utime(pair.copy, ns=(OLD - 5 * 10**9, OLD))
    return pair


def are_one(pair: Twins) -> bool:
    return os.path.samefile(pair.kept, pair.copy)


def litter(pair: Twins) -> list[str]:
    """What is in the copy's directory besides the copy."""
    return sorted(set(os.listdir(pair.copy.parent)) - {pair.copy.name})
