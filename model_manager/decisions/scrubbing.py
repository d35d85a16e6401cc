"""Which files are read again, though nothing says that they changed?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest

from model_manager.facts.disk import Held


def due(held: Iterable[Held], before: str) -> list[Held]:
    """Those whose bytes were last seen right before a moment (ISO 8601 UTC), the longest ago first. Bit rot keeps size and
    time: only reading finds it."""
    late = (each for each in held if each.digests is not None and each.verified and each.verified_at < before)
    return sorted(late, key=lambda each: (each.verified_at, each.file))


def rounds(files: Iterable[Held]) -> Iterator[list[Held]]:
    """In each round one file of every device: reading them beside each other is as fast as each device alone."""
    devices: dict[int, list[Held]] = {}
    for each in files:
        devices.setdefault(each.fingerprint.device, []).append(each)
    for beside in zip_longest(*devices.values()):
        yield [each for each in beside if each is not None]
