"""A process that downloads FLUX into a root, to be killed: appends `count` MiB of a known pattern and says each.

With a fourth argument it waits after the MiB of that number for its end.
"""

from __future__ import annotations

import sys

from model_manager.library.partial import Partial
from tests.library.shelves import FLUX, URL, offer

MIB = 1 << 20


def pattern(number: int) -> bytes:
    """The MiB of that number; no two are equal."""
    return number.to_bytes(4, "big") * (MIB // 4)


def main() -> None:
    directory, count, sync_every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    partial = Partial.open(directory, FLUX, sync_every=sync_every)
    start, _ = partial.resumable(URL)
    partial.begin(URL, offer(size=count * MIB, start=start))
    print("begun", start, flush=True)
    for number in range(start // MIB, count):
        partial.append(pattern(number))
        print(number, flush=True)
        if sys.argv[4:] == [str(number)]:
            sys.stdin.read()
    partial.finish()
    print("finished", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
