"""`scripts/simulate_fleet`: many machines in one process, on a server of its own. Exits 1 when a mirror is not exact in time."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.simulating.run import Line, NotExact, Plan, simulate


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/simulate_fleet", description=__doc__)
    parser.add_argument("--machines", type=int, default=1_000)
    parser.add_argument("--models", type=int, default=300, help="of which each machine holds most")
    parser.add_argument("--seconds", type=float, default=20.0, help="of changes")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two changes of one machine")
    parser.add_argument(
        "--outage", type=float, default=10.0, help="seconds without a server, which comes back empty; 0 = none"
    )
    parser.add_argument("--heartbeat", type=float, default=15.0, help="seconds between two heartbeats of one machine")
    parser.add_argument("--patience", type=float, default=180.0, help="seconds in which all mirrors must be exact")
    parser.add_argument(
        "--aggregator", dest="url", nargs="?", const="", help="URL of one to compare too; without it one is started"
    )
    plan = Plan(**vars(parser.parse_args(arguments)))
    print(f"{plan.machines:,} machines × {plan.models:,} models", flush=True)
    lines: list[Line] = []
    try:
        lines = asyncio.run(simulate(plan, lambda text: print(f"… {text}", file=sys.stderr, flush=True)))
    except* NotExact as errors:
        print(f"not exact in time: {errors.exceptions[0]}", file=sys.stderr)
    for what, much in lines:
        print(f"{what:<45}{much:>12}")
    return 0 if lines else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
