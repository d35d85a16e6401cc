"""What several routes of the fleet ask for in the same words."""

from __future__ import annotations

from typing import Final

from model_manager.serving.asking import MACHINE, Param

MOST_ROWS: Final = 1_000
"""Rows of one answer."""

FURTHEST: Final = 10_000_000
"""Where a page may begin at most."""

ONE_MACHINE: Final = Param(name="machine_id", help="Only this machine.", pattern=MACHINE, most=128)


def paged(*more: Param, most: int = MOST_ROWS) -> tuple[Param, ...]:
    """Pages by cursor: what comes and goes meanwhile moves none."""
    limit = Param(name="limit", help="Items of one page.", kind="integer", default=100, most=most)
    cursor = Param(name="cursor", help="`next` of the page before.", kind="cursor")
    return (*more, limit, cursor)


def jumping(*more: Param, prefix: str = "", what: str = "rows") -> tuple[Param, ...]:
    """Pages by number, for who draws a scroll bar."""
    return (
        *more,
        Param(name=f"{prefix}offset", help=f"How many {what} come before.", kind="integer", default=0, least=0, most=FURTHEST),
        Param(name=f"{prefix}limit", help=f"At most so many {what}.", kind="integer", default=100, most=MOST_ROWS),
    )  # fmt: skip


def part_of(what: str) -> Param:
    """The parameter `q`."""
    return Param(name="q", help=f"Part of the {what}, in any case.")
