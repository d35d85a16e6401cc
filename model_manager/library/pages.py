"""What the last look at a root saw, by directory: one that is still the same is compared as a whole, which is quicker. It decides
nothing that the disk and what is known do not say as well."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import attrgetter
from typing import Final

from model_manager.facts.disk import Held, Root

_NAME: Final = attrgetter("name")
_PRINT: Final = tuple(map(attrgetter, ("st_mtime_ns", "st_ino", "st_size", "st_dev")))
"""The fields of a fingerprint, each compared for a whole directory at a time: half the time of a tuple for each file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A directory in which every known file was as known. `here` marks those among its entries, in the kernel's order;
    `names` are theirs in the directory, `files` their paths, `prints` theirs by the fields of a fingerprint."""

    here: list[bool]
    names: list[str]
    files: list[str]
    held: list[Held]
    prints: tuple[list[int], ...]
    bytes: int

    @classmethod
    def of(cls, prefix: str, here: list[bool], held: list[Held]) -> Page:
        """`prefix`: the directory's path with a slash at its end."""
        files, marks = [known.file for known in held], [known.fingerprint for known in held]
        return cls(
            here=here,
            names=[file[len(prefix) :] for file in files],
            files=files,
            held=held,
            prints=(
                [mark.mtime_ns for mark in marks],
                [mark.inode for mark in marks],
                [mark.size for mark in marks],
                [mark.device for mark in marks],
            ),
            bytes=sum(mark.size for mark in marks),
        )

    @property
    def whole(self) -> bool:
        """Whether the directory has nothing but known files."""
        return len(self.files) == len(self.here)

    def same(self, entries: Sequence[os.DirEntry[str]], *, linked: bool) -> bool:
        """Whether the known files are as they were. `linked`: some may be links of our own, which are looked at one by one.
        Raises OSError."""
        if len(entries) != len(self.here):
            return False
        known = entries if self.whole else list(compress(entries, self.here))
        if list(map(_NAME, known)) != self.names or (linked and any(entry.is_symlink() for entry in known)):
            return False
        states = list(map(os.DirEntry.stat, known))
        return all(list(map(of, states)) == was for of, was in zip(_PRINT, self.prints, strict=True))


@dataclass(slots=True)
class Memory:
    """About 200 bytes a file. `root` is what was looked at, `known` what was known then: of this root and others, in order."""

    pages: dict[str, Page] = field(default_factory=dict)
    root: Root | None = None
    known: list[Held] = field(default_factory=list)


def blank() -> Memory:
    """Of a root that nobody has looked at yet."""
    return Memory()
