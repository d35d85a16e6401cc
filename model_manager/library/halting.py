"""How a look at the disk is ended before its end, by somebody who does not want to wait for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

PIECE: Final = 1_000
"""Entries of a directory after which somebody may end a look at it."""

Halt = Callable[[], bool]
"""Whether somebody wants it to end."""

T = TypeVar("T")


class Halted(Exception):
    """Somebody ended the look."""


def never() -> bool:
    return False


def unhalted(entries: Sequence[T], halt: Halt) -> Iterator[Sequence[T]]:
    """All of them, PIECE at a time. Raises Halted."""
    for begin in range(0, len(entries), PIECE):
        insist(halt)
        yield entries[begin : begin + PIECE]


def insist(halt: Halt) -> None:
    """Raises Halted."""
    if halt():
        raise Halted
