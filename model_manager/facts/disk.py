"""What lies in the model directories, and how that changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from model_manager.facts.identity import Digests
from model_manager.facts.shelf import ShelfPath

Evidence = Literal["pin", "origin", "length", "content"]
"""How a file was judged right: by the catalog's hash, by the hash its origin promised, by exact length and format where
nobody promised a hash, or (files that we did not fetch) by a full hash over a well-formed file."""


HUB: Final = "huggingface hub"
"""The folder of a file in HuggingFace's cache. It is on no shelf; its name is the SHA-256 that it should have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A directory with models. `folder` is None for a models directory, or the folder that the whole directory is
    (a category of extra_model_paths.yaml). We write only where `own`. `showing`: the store whose files are linked into this
    directory by us; such links are not counted again."""

    path: str
    folder: str | None = None
    own: bool = False
    showing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Unchanged as long as all four agree (st_dev, st_ino, st_size in bytes, st_mtime_ns)."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    def is_other_than(self, was: Fingerprint) -> bool:
        """Whether a file at the same place was written to or replaced, as far as that shows: a volume that was mounted again under
        another device number changed nothing."""
        return (self.inode, self.size, self.mtime_ns) != (was.inode, was.size, was.mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One file on a shelf. `file` is its absolute path and its identity here; `digests` is None until it was read whole, here or on
    its way here.

    `evidence` is None while nobody judged it. `against` is the pin or promise that it was judged by, as text.
    `verified_at` is ISO 8601 UTC.
    """

    file: str
    root: str
    shelf: ShelfPath
    fingerprint: Fingerprint
    digests: Digests | None = None
    evidence: Evidence | None = None
    against: str = ""
    verified_at: str = ""

    @property
    def verified(self) -> bool:
        return self.evidence is not None

    def unjudged(self, digests: Digests) -> Held:
        """The file with the bytes that it was found to have, which nobody vouches for."""
        return replace(self, digests=digests, evidence=None, against="", verified_at="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """One change of what is held; empty when nothing changed. Roots that are away take no part in it."""

    appeared: tuple[Held, ...] = ()
    changed: tuple[Held, ...] = ()
    vanished: tuple[Held, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.appeared or self.changed or self.vanished)


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryDigest:
    """Order-free sum (mod 2^128) over what is held; adding and removing an item is O(1).

    An item's term is the first 16 bytes (big-endian) of SHA-256 over `file NUL size NUL sha256-or-empty NUL verified(0|1)`.
    """

    value: int = 0

    def adding(self, items: Iterable[Held]) -> InventoryDigest:
        return InventoryDigest(value=(self.value + sum(map(_term, items))) % 2**128)

    def removing(self, items: Iterable[Held]) -> InventoryDigest:
        return InventoryDigest(value=(self.value - sum(map(_term, items))) % 2**128)

    def __str__(self) -> str:
        return f"{self.value:032x}"

    @classmethod
    def parse(cls, text: str) -> InventoryDigest:
        return cls(value=int(text, 16))


def _term(held: Held) -> int:
    sha256 = (held.digests and held.digests.sha256) or ""
    line = "\0".join((held.file, str(held.fingerprint.size), sha256, "1" if held.verified else "0"))
    return int.from_bytes(hashlib.sha256(line.encode("utf-8", "surrogateescape")).digest()[:16], "big")
