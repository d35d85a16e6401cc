"""One measured figure, and how it is shown: a table for people, JSON lines for machines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured. `peer`: the same by something else here, in the same unit, if there is such a thing.

    `goal`: the limit that we set ourselves, in `unit`; `more_is_better` says on which side of it we want to be.
    """

    bench: str
    case: str
    ours: float
    unit: str
    peer: float | None = None
    goal: float | None = None
    more_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's: for times, below 1 is better; for rates, above."""
        return self.ours / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.ours >= self.goal if self.more_is_better else self.ours <= self.goal

    def json(self) -> str:
        content = {**asdict(self), "ratio": self.ratio, "met": self.met}
        return json.dumps(
            {key: content[key] for key in ("bench", "case", "ours", "peer", "ratio", "unit", "goal", "met")}
        )


HEADINGS = ("bench", "case", "ours", "peer", "ratio", "unit", "goal", "met")


def table(rows: Iterable[Row]) -> str:
    """The rows under headings, columns as wide as they need."""
    lines = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "NO"}[row.met]
    return (
        row.bench,
        row.case,
        _number(row.ours),
        _number(row.peer),
        _number(row.ratio),
        row.unit,
        _number(row.goal),
        met,
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
