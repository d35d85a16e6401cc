"""`scripts/bench [NAME ...] [--json] [--smoke]`: runs the benchmarks of this directory, each a module with `run(smoke)`.

Exits 1 when a goal is missed; not in a smoke run, whose sizes say nothing.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.bench.row import Row, table

NO_BENCH = {"__init__", "__main__", "row"}


def known() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in Path(__file__).parent.glob("*.py") if file.stem not in NO_BENCH))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known())}; default: all")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(known()):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(known())}")
    rows = [row for name in given.names or known() for row in _run(name, given.smoke, given.json)]
    if not given.json:
        print(table(rows))
    return int(not given.smoke and any(row.met is False for row in rows))


def _run(name: str, smoke: bool, as_json: bool) -> Iterable[Row]:
    print(f"{name} ...", file=sys.stderr, flush=True)
    run: Callable[[bool], Iterable[Row]] = importlib.import_module(f"tests.bench.{name}").run
    for row in run(smoke):
        if as_json:
            print(row.json(), flush=True)
        yield row


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
