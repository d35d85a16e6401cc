"""What one look at the model directories came to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """StableQueue's figures of a scan (total, added, updated, hashesCalculated, hashesSkipped, errors), and what it does not
    count: files that left (`removed`), files whose descriptions were read, seconds. `hashes_skipped` are files that are
    still to be read; `errors` are files and directories that could not be."""

    total: int
    added: int
    updated: int
    removed: int
    described: int
    hashes_calculated: int
    hashes_skipped: int
    errors: int
    seconds: float
