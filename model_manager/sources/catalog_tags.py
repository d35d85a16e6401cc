"""Answers of a catalog by their entity tags: what has not changed is not sent again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

MAX_KEPT: Final = 8 * 1024 * 1024
"""Bytes of answers, as they came, that are remembered; the least recently asked go first."""

MAX_ANSWER: Final = 256 * 1024
"""Bytes of one answer that is worth it."""

MAX_TAG: Final = 200
"""Characters."""


@dataclass(frozen=True, slots=True)
class _Answer:
    tag: str
    content: Any
    size: int


class Tags:
    """For one catalog. What is kept is handed out again: nobody may change it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Answer] = OrderedDict()
        self._size = 0

    def header(self, path: str) -> dict[str, str]:
        """What asks for the answer only if it is another one (RFC 9110, 13.1.2)."""
        kept = self._kept.get(path)
        return {"If-None-Match": kept.tag} if kept else {}

    def has(self, path: str) -> bool:
        return path in self._kept

    def again(self, path: str) -> Any:
        """The answer of a path that we have."""
        self._kept.move_to_end(path)
        return self._kept[path].content

    def keep(self, path: str, tag: str | None, content: Any, size: int) -> None:
        """`size`: bytes of the answer. Without a tag, what was known before is forgotten."""
        self._forget(path)
        if tag is None or not tag.isascii() or not tag.isprintable() or len(tag) > MAX_TAG or size > MAX_ANSWER:
            return
        self._kept[path] = _Answer(tag, content, size)
        self._size += size
        while self._size > MAX_KEPT:
            self._forget(next(iter(self._kept)))

    def _forget(self, path: str) -> None:
        if old := self._kept.pop(path, None):
            self._size -= old.size
