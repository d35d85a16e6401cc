"""Models by parts of their names, as fast as somebody types: one look over all of them, and what was found is kept for a while."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from model_manager.fleet.view import View

KEPT: Final = 64
"""Results that are kept until the fleet holds something else."""

MANY: Final = 2_000
"""Texts with a word from which on asking each is cheaper."""

SAMPLE: Final = 200_000
"""Characters in which words are counted to know the rarest."""

Question = tuple[str, str | None, bool | None, bool]


class Finding:
    def __init__(self, view: View) -> None:
        self._view = view
        self._order: Sequence[str] = ()
        self._texts: list[str] = []
        self._names: list[str] = []
        self._joined = ""
        self._begins = array("Q")
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
            self._joined = "\n".join(self._texts)
            self._begins = array("Q", [0, *accumulate(len(text) + 1 for text in self._texts)])
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
            rarest, *others = (
                sorted(words, key=lambda word: self._joined.count(word, 0, SAMPLE)) if len(words) > 1 else words
            )
            numbers = self._holding(rarest)
            for word in others:
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

    def _holding(self, word: str) -> Sequence[int]:
        """Texts with a word: looked for in all of them at once, which takes a tenth of asking each when few have it."""
        joined, begins, numbers = self._joined, self._begins, list[int]()
        at = joined.find(word)
        while at >= 0:
            numbers.append(number := bisect_right(begins, at) - 1)
            if len(numbers) == MANY:
                rest = range(number + 1, len(self._texts))
                return numbers + [each for each in rest if word in self._texts[each]]
            at = joined.find(word, begins[number + 1])
        return numbers


def _best_first(numbers: Sequence[int], names: Sequence[str], word: str) -> Sequence[int]:
    begin = [number for number in numbers if names[number].startswith(word)]
    if not begin or len(begin) == len(numbers):
        return numbers
    first = set(begin)
    return begin + [number for number in numbers if number not in first]
