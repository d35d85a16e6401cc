"""A process that downloads FLUX into a root, to be killed: appends `count` MiB of a known pattern and says each.

With a number as fourth argument it waits after the MiB of that number for its end; with `lanes`, several bring the bytes in a
strange order.
"""

from __future__ import annotations

import sys

from model_manager.library.incoming.lane import fill
from model_manager.library.incoming.partial import Partial
from tests.library.feeding import append
from tests.library.shelves import FLUX, URL, offer

MIB = 1 << 20


def pattern(number: int) -> bytes:
    """The MiB of that number; no two are equal."""
    return number.to_bytes(4, "big") * (MIB // 4)


def weave(partial: Partial) -> None:
    """What is missing, by two lanes at a time, in pieces of which the later comes first."""
    pieces = [
        (at, min(at + MIB + 999, stop)) for start, stop in partial.missing() for at in range(start, stop, MIB + 999)
    ]
    for pair in zip(pieces[1::2], pieces[::2], strict=False):
        lanes = [partial.lane(*piece) for piece in pair]
        for part in (0, 1):
            for lane in lanes:
                at, stop = lane.at, lane.stop or 0
                end = stop if part else (at + stop) // 2
                fill(lane, b"".join(map(pattern, range(at // MIB, -(-end // MIB))))[at % MIB :][: end - at])
        for lane in lanes:
            lane.close()
    for start, stop in partial.missing():
        lane = partial.lane(start, stop)
        fill(lane, b"".join(map(pattern, range(start // MIB, -(-stop // MIB))))[start % MIB :][: stop - start])
        lane.close()
    partial.settle()


def main() -> None:
    directory, count, sync_every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    partial = Partial.open(directory, FLUX, sync_every=sync_every)
    start, _ = partial.resumable(URL)
    partial.begin(URL, offer(size=count * MIB, start=start))
    print("begun", start, flush=True)
    if sys.argv[4:] == ["lanes"]:
        weave(partial)
    for number in range(partial.reached // MIB, count):
        append(partial, pattern(number))
        print(number, flush=True)
        if sys.argv[4:] == [str(number)]:
            sys.stdin.read()
    print("finished", partial.finish().digests.sha256, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
