"""What an agent's look came to: the index before it against the index after it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from typing import Final

from model_manager.facts.disk import Fingerprint
from model_manager.facts.known import Known
from model_manager.facts.statistics import Statistics
from model_manager.index.reading import Shop

PAGE: Final = 20_000
"""Files that are asked for at once."""

Before = dict[str, tuple[Fingerprint, bool]]
"""File → what it was, and whether it had been read."""


def remembered(shop: Shop, only: Collection[str] | None = None) -> Before:
    """Of every tracked directory, or `only` of those at these paths."""
    listed = chain.from_iterable(_all(shop, directory) for directory in ((None,) if only is None else only))
    return {known.file: (known.fingerprint, known.digests is not None) for known in listed}


def compared(before: Before, now: Before, *, skipped: int, errors: int) -> Statistics:
    """The difference, without seconds. `skipped` files are still to be read."""
    kept = before.keys() & now.keys()
    updated = {file for file in kept if now[file][0].is_other_than(before[file][0])}
    known = {file for file, (_, read) in before.items() if read} - updated
    return Statistics(
        total=len(now),
        added=len(now) - len(kept),
        updated=len(updated),
        removed=len(before) - len(kept),
        described=0,
        hashes_calculated=sum(read for file, (_, read) in now.items() if file not in known),
        hashes_skipped=skipped,
        errors=errors,
        seconds=0.0,
    )


def _all(shop: Shop, directory: str | None) -> Iterator[Known]:
    offset = 0
    while page := shop.listing(directory=directory, order="added", limit=PAGE, offset=offset):
        yield from page
        offset += PAGE
