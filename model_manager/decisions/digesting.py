"""Which digests does a download have to compute?"""

from __future__ import annotations

from typing import Final

from model_manager.facts.identity import FULL, Algorithm, Digests, Pin

EVERYTHING: Final[frozenset[Algorithm]] = FULL | {"tensor"}
"""What a file on our disk is read for: SHA-256 with AutoV2, BLAKE3, and the tensor hash with AutoV3, in one go."""

QUICKEST: Final[frozenset[Algorithm]] = frozenset({"blake3"})
"""A sixth to a tenth of the processor's work for EVERYTHING, and as good a proof that bytes are what they were."""


def again(known: Digests) -> frozenset[Algorithm]:
    """What a file is read again for, to see whether its bytes are still those that are known."""
    return QUICKEST if known.blake3 and known.complete else EVERYTHING


def needed(pin: Pin | None) -> frozenset[Algorithm]:
    """What its pin can be judged by: BLAKE3 alone where it is one, for it is far faster; SHA-256 in every other case.

    A file that is known by BLAKE3 alone gets its SHA-256 later, when nobody waits for it.
    """
    asked = frozenset(pin.algorithms) if pin else frozenset()
    if asked == {"blake3"}:
        return asked
    return (asked - {"autov2"}) | {"sha256"}
