"""The library: what lies on this machine, known at once and kept known; beside `find`, comfygit's scanner, bare watchfiles and
the hash programs of the system.

BENCH_DIR is where the files go, by default the cache directory. BENCH_LIBRARY: a comma list of parts, by default all.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.bench.fetching.tools import cache
from tests.bench.row import Row

PARTS: Final = ("rescanning", "noticing", "indexing", "looking_up", "hashing")

Rows = Callable[[Path, bool], Iterator[Row]]


def run(smoke: bool) -> Iterator[Row]:
    named = os.environ.get("BENCH_LIBRARY", "")
    parent = os.environ.get("BENCH_DIR") or (None if smoke else cache())
    for part in named.split(",") if named else PARTS:
        rows: Rows = importlib.import_module(f"tests.bench.libraries.{part}").rows
        home = Path(tempfile.mkdtemp(prefix="mm-", dir=parent))
        try:
            yield from rows(home, smoke)
        finally:
            shutil.rmtree(home, ignore_errors=True)
