"""A flat dictionary of plain values out of pickled bytes, without unpickling: opcodes are data here, nothing is ever run.

The caches of A1111 and Forge (diskcache) keep {"mtime": …, "sha256": …} in this form. Of the pickle machine only what builds
such a dictionary is known (protocol 2 and later); any other opcode ends the reading.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Final

MAX_BYTES: Final = 8192
MAX_STEPS: Final = 200

Plain = str | int | float | None
_Stack = list[object]

_VALUES: Final = frozenset(
    {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINFLOAT", "BININT", "BININT1", "BININT2", "LONG1"}
)
_IDLE: Final = frozenset({"PROTO", "FRAME"})
_KEEPING: Final = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT"})
_RECALLING: Final = frozenset({"BINGET", "LONG_BINGET"})


def flat(data: bytes) -> dict[str, Plain] | None:
    """The dictionary, or None for whatever else it is."""
    if len(data) > MAX_BYTES:
        return None
    machine = _Machine()
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if opcode.name == "STOP":
                return machine.result()
            if step > MAX_STEPS or not machine.take(opcode.name, argument):
                return None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError):
        return None
    return None


class _Mark:
    """Where a row of items begins."""


class _Machine:
    def __init__(self) -> None:
        self._stack: _Stack = []
        self._memo: dict[int, object] = {}
        self._acts: dict[str, Callable[[], None]] = {
            "NONE": lambda: self._stack.append(None),
            "MARK": lambda: self._stack.append(_Mark()),
            "EMPTY_DICT": lambda: self._stack.append({}),
            "SETITEM": lambda: self._set(2),
            "SETITEMS": self._set_many,
        }

    def take(self, name: str, argument: object) -> bool:
        """Whether the opcode is one that a flat dictionary needs; then it was carried out."""
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _KEEPING:
            self._memo[argument if isinstance(argument, int) else len(self._memo)] = self._stack[-1]
        elif name in _RECALLING:
            self._stack.append(self._memo[argument if isinstance(argument, int) else -1])
        elif act := self._acts.get(name):
            act()
        else:
            return name in _IDLE
        return True

    def _set_many(self) -> None:
        mark = max(place for place, item in enumerate(self._stack) if isinstance(item, _Mark))
        del self._stack[mark]
        self._set(len(self._stack) - mark)

    def _set(self, count: int) -> None:
        items = self._stack[-count:]
        del self._stack[-count:]
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise TypeError(type(target).__name__)
        target.update(zip(items[::2], items[1::2], strict=True))

    def result(self) -> dict[str, Plain] | None:
        found = self._stack[-1]
        if len(self._stack) != 1 or not isinstance(found, dict):
            return None
        plain = all(isinstance(key, str) for key in found)
        simple = all(value is None or isinstance(value, (str, int, float)) for value in found.values())
        return found if plain and simple else None
