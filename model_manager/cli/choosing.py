"""What somebody watching the fleet wants to see of it, key by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from model_manager.cli.overview import ORDERS, ordered

UP: Final = frozenset({"\x1b[A", "k"})
DOWN: Final = frozenset({"\x1b[B", "j"})
PAGE_UP: Final = frozenset({"\x1b[5~", "b"})
PAGE_DOWN: Final = frozenset({"\x1b[6~", " "})
ENTER: Final = frozenset({"\r", "\n"})
RUBOUT: Final = frozenset({"\x7f", "\b"})
LONGEST: Final = 60


@dataclass(frozen=True, slots=True)
class Choice:
    """`by`: the order; `text`: only machines in whose line it stands; `first`: the machine that is shown first; `typing`: keys are
    letters of the text."""

    by: str = ORDERS[0]
    text: str = ""
    first: int = 0
    typing: bool = False

    def chosen(self, machines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those that are meant, in order."""
        wanted = self.text.lower()
        return [each for each in ordered(machines, self.by) if wanted in _words(each)]

    def within(self, total: int, room: int) -> Choice:
        """The same, with no line of the screen left empty that could show a machine."""
        return replace(self, first=max(0, min(self.first, total - room)))


def pressed(choice: Choice, key: str, page: int) -> Choice | None:
    """What is wanted after this key, of a screen with so many machines; None to leave. A key that means nothing changes nothing."""
    if choice.typing:
        return _typed(choice, key)
    if key in ("q", "Q"):
        return None
    if key == "s":
        return replace(choice, by=ORDERS[(ORDERS.index(choice.by) + 1) % len(ORDERS)], first=0)
    if key == "/":
        return replace(choice, typing=True)
    if key == "\x1b":
        return replace(choice, text="", first=0)
    return replace(choice, first=max(0, choice.first + _steps(key, page)))


def _typed(choice: Choice, key: str) -> Choice:
    if key in ENTER:
        return replace(choice, typing=False)
    if key == "\x1b":
        return replace(choice, typing=False, text="", first=0)
    if key in RUBOUT:
        return replace(choice, text=choice.text[:-1], first=0)
    return replace(choice, text=(choice.text + key)[:LONGEST], first=0) if key.isprintable() else choice


def _steps(key: str, page: int) -> int:
    if key in UP or key in PAGE_UP:
        return -1 if key in UP else -page
    if key in DOWN or key in PAGE_DOWN:
        return 1 if key in DOWN else page
    return 0


def _words(machine: Mapping[str, Any]) -> str:
    state = [machine["machine_id"], machine["state"], machine["phase"], machine["version"], machine["host"]]
    return " ".join([*state, "ready" if machine["ready"] else "not ready", *machine["reasons"]]).lower()
