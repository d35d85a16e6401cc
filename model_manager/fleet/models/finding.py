"""Models by parts of their names, as fast as somebody types: one look over all of them, and what was found is kept for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from model_manager.fleet.view import View

KEPT: Final = 64
"""Results that are kept until the fleet holds something else."""

Question = tuple[str, str | None, bool | None, bool]


class Finding:
    def __init__(self, view: View) -> None:
        self._view = view
        self._order: Sequence[str] = ()
        self._texts: list[str] = []
        self._names: list[str] = []
        self._counted = -1
        self._found: OrderedDict[Question, Sequence[str]] = OrderedDict()

    def places(
        self, q: str = "", folder: str | None = None, single: bool | None = None, *, best: bool = False
    ) -> Sequence[str]:
        """`folder/name` in which every word of `q` occurs, in any case; by name, or `best` first: those whose file begins with
        the first word. `single`: only those that one machine has, or that several have. Do not change it."""
        self._refresh()
        question = " ".join(q.lower().split()), folder, single, best
        found = self._found.get(question)
        if found is None:
            found = self._found[question] = self._looked(*question)
        self._found.move_to_end(question)
        while len(self._found) > KEPT:
            self._found.popitem(last=False)
        return found

    def _refresh(self) -> None:
        order = self._view.order()
        if order is not self._order:
            self._order, self._texts = order, [place.lower() for place in order]
            self._names = [text[text.rfind("/") + 1 :] for text in self._texts]
            self._found.clear()
        if self._counted != self._view.catalogue.counts:
            self._counted = self._view.catalogue.counts
            self._found.clear()

    def _looked(self, q: str, folder: str | None, single: bool | None, best: bool) -> Sequence[str]:
        words = q.split()
        if not words and folder is None and single is None:
            return self._order
        texts, order = self._texts, self._order
        numbers: Sequence[int] = range(len(order))
        if words:
            first = words[0]
            numbers = [number for number, text in enumerate(texts) if first in text]
        for word in words[1:]:
            numbers = [number for number in numbers if word in texts[number]]
        if folder is not None:
            begin = f"{folder}/"
            numbers = [number for number in numbers if order[number].startswith(begin)]
        if single is not None:
            rows = self._view.rows()
            numbers = [number for number in numbers if (rows[order[number]].machines == 1) == single]
        if best and words:
            numbers = _best_first(numbers, self._names, words[0])
        return [order[number] for number in numbers]


def _best_first(numbers: Sequence[int], names: Sequence[str], word: str) -> Sequence[int]:
    begin = [number for number in numbers if names[number].startswith(word)]
    if not begin or len(begin) == len(numbers):
        return numbers
    first = set(begin)
    return begin + [number for number in numbers if number not in first]
