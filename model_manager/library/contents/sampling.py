"""A few samples of a file, hashed: finds files that may be the same, in milliseconds instead of minutes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Literal

from blake3 import blake3
from xxhash import xxh3_128

from model_manager.facts.disk import Fingerprint
from model_manager.library.contents.hashing import opened_calm

QuickHash = Literal["blake3_sample_v1", "xxh3_128_sample_v1"]
"""The first is ours, the second is what comfygit's manifests and databases have. Both have the same layout."""

SAMPLE: Final = 5 * 1024 * 1024
"""Bytes of each sample."""

SAMPLED_THRICE: Final = 30 * 1024 * 1024
"""Files of more bytes than this are sampled in the middle and at the end, too."""

DIGITS: Final = 16


def quick_hash(file: str, kind: QuickHash = "blake3_sample_v1") -> tuple[Fingerprint, str]:
    """16 hex digits over the size in decimal, the first 5 MiB and, above 30 MiB, 5 MiB around the middle and the last 5 MiB.

    A hint that finds candidates, never an identity: of a file of 20 MiB it knows the first quarter, of one of 20 GiB less
    than a thousandth, so merged and rotted models have the quick hash of their originals. Compare full digests before
    anything is believed, linked or removed.

    Raises BadContent for what is no regular file, StillChanging when it left, and DiskUnavailable.
    """
    with opened_calm(file) as (fd, found):
        hasher = blake3() if kind == "blake3_sample_v1" else xxh3_128()
        hasher.update(str(found.size).encode())
        for start in starts(found.size):
            _sample(fd, start, min(SAMPLE, found.size - start), hasher.update)
    return found, hasher.hexdigest()[:DIGITS]


def starts(size: int) -> tuple[int, ...]:
    """Offsets of the samples of a file of `size` bytes."""
    if size <= SAMPLED_THRICE:
        return (0,)
    return 0, size // 2 - SAMPLE // 2, size - SAMPLE


def _sample(fd: int, start: int, size: int, update: Callable[[bytes], object]) -> None:
    """`size` bytes, or fewer at the end of the file; a network mount may give them in pieces."""
    while size and (piece := os.pread(fd, size, start)):
        update(piece)
        start += len(piece)
        size -= len(piece)
