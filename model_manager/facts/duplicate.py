"""The same bytes more than once: which copy stays, what the others cost, and what could take their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from model_manager.facts.disk import Fingerprint
from model_manager.facts.shelf import ShelfPath

How = Literal["reflink", "hard link"]
"""Shared blocks under two files that stay two, or one file with two names: a change in place then changes both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One name of a file. `own`: it is in our store. `blocks` tells where its blocks lie, None where nobody knows: two
    files of one device with the same `blocks` share them already."""

    file: str
    root: str
    shelf: ShelfPath
    fingerprint: Fingerprint
    own: bool = False
    verified: bool = False
    blocks: str | None = None

    @property
    def identity(self) -> tuple[int, int]:
        """(st_dev, st_ino): names with the same identity are one file."""
        return self.fingerprint.device, self.fingerprint.inode


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """Put the bytes of `by` in the place of those of `copy`."""

    copy: Copy
    by: Copy
    how: How


@dataclass(frozen=True, slots=True, kw_only=True)
class Redundant:
    """A file that is there once too often, under all its known names. `by` would stand in for it; `why` says how, or why
    nothing can. `reclaimable` bytes come free if it is done."""

    copies: tuple[Copy, ...]
    by: Copy
    how: How | None
    why: str
    reclaimable: int

    @property
    def replacements(self) -> tuple[Replacement, ...]:
        """Blocks are shared once a file, whatever its names; a hard link replaces each name."""
        if self.how is None:
            return ()
        copies = self.copies[:1] if self.how == "reflink" else self.copies
        return tuple(Replacement(copy=copy, by=self.by, how=self.how) for copy in copies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Bytes that lie in several files. `digest` is a full one, `size` in bytes, `why` the reason to keep `kept`."""

    digest: str
    size: int
    kept: Copy
    why: str
    redundant: tuple[Redundant, ...]

    @property
    def reclaimable(self) -> int:
        """Bytes."""
        return sum(redundant.reclaimable for redundant in self.redundant)
