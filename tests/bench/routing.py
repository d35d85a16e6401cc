"""Who may take which job: claims at every length of the queue, beside the shapes that were there before and queues that match
nothing, and what inventories and journals cost.

BENCH_ROUTING: a comma list of parts, by default all. BENCH_PENDING: a comma list of queue lengths for `matching`. BullMQ, arq and taskiq come from their registries when it runs.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.bench.row import Row

PARTS: Final = ("matching", "working", "changing", "bounding", "journaling")

Rows = Callable[[Path, bool], Iterator[Row]]


def run(smoke: bool) -> Iterator[Row]:
    named = os.environ.get("BENCH_ROUTING", "")
    for part in named.split(",") if named else PARTS:
        rows: Rows = importlib.import_module(f"tests.bench.claiming.{part}").rows
        with tempfile.TemporaryDirectory(prefix="mm-") as home:
            yield from rows(Path(home), smoke)
