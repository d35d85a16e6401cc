"""Names as one long text, in which a word is looked for at once."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, compress, repeat
from operator import contains
from typing import Final

MANY: Final = 1_000
"""Texts with a word from which on asking each is cheaper."""

GRAM: Final = 3
COMMON: Final = 3
"""Characters by which texts are found, unless one in so many has them."""

SAMPLE: Final = 200_000
"""Characters in which words are counted to know the rarest."""

PIECE: Final = 200
"""Names that are taken apart before others have their turn: some 1 ms."""


class Grams:
    """In which texts each three characters stand; of what stands in very many nothing is kept."""

    def __init__(self, texts: int) -> None:
        """`texts`: how many will be put in."""
        self._most = max(MANY, texts // COMMON)
        self._of: dict[str, array[int] | None] = {}

    def put(self, number: int, text: str) -> None:
        """Numbers ascend."""
        for gram in {text[at : at + GRAM] for at in range(len(text) - GRAM + 1)}:
            if gram not in self._of:
                self._of[gram] = array("I", (number,))
            elif (known := self._of[gram]) is not None:
                known.append(number)
                if len(known) > self._most:
                    self._of[gram] = None

    def rarest(self, word: str) -> Sequence[int] | None:
        """Texts among which all are that have the word; None: that cannot be told."""
        best: Sequence[int] | None = None
        for at in range(len(word) - GRAM + 1):
            found = self._of.get(word[at : at + GRAM], ())
            if found is not None and (best is None or len(found) < len(best)):
                best = found
        return best


class Texts:
    """Of `places`, which are in order. It does not change."""

    def __init__(self, places: Sequence[str], texts: Sequence[str], grams: Grams | None = None) -> None:
        """`texts`: what `lowered` makes of each; `grams` of all of them, where there was time for it."""
        self.places = places
        self._texts = texts
        self._grams = grams
        self._names = [text[text.rfind("/") + 1 :] for text in texts]
        self._joined = "".join(texts)
        self._begins = list(accumulate(map(len, texts), initial=0))

    def __contains__(self, place: str) -> bool:
        at = bisect_left(self.places, place)
        return at < len(self.places) and self.places[at] == place

    def holding(self, words: Sequence[str]) -> Sequence[int]:
        """The numbers of the names in which every word occurs, ascending; the rarest word first."""
        rarest, *others = sorted(words, key=self._often) if len(words) > 1 else words
        numbers = self._with(rarest)
        for word in others:
            numbers = [number for number in numbers if word in self._texts[number]]
        return numbers

    def beginning(self, numbers: Sequence[int], word: str) -> Sequence[int]:
        """Those whose file begins with a word."""
        names = map(self._names.__getitem__, numbers)
        return list(compress(numbers, map(str.startswith, names, repeat(word))))

    def _often(self, word: str) -> int:
        """About; words of which nothing is known come after the others."""
        few = self._grams.rarest(word) if self._grams else None
        return len(self._texts) + self._joined.count(word, 0, SAMPLE) if few is None else len(few)

    def _with(self, word: str) -> Sequence[int]:
        few = self._grams.rarest(word) if self._grams else None
        return self._looked(word) if few is None else [number for number in few if word in self._texts[number]]

    def _looked(self, word: str) -> Sequence[int]:
        """Looked for in all at once, which takes a fraction of asking each when few have it."""
        joined, begins, numbers = self._joined, self._begins, list[int]()
        at = joined.find(word)
        while at >= 0:
            numbers.append(number := bisect_right(begins, at) - 1)
            if len(numbers) == MANY:
                rest = range(number + 1, len(self._texts))
                return [*numbers, *compress(rest, map(contains, self._texts[number + 1 :], repeat(word)))]
            at = joined.find(word, begins[number + 1])
        return numbers


def lowered(place: str) -> str:
    """As words, which have no white space in them, are looked for in it."""
    return place.lower() + "\n"


async def gathered(places: Sequence[str]) -> Texts:
    """A piece at a time."""
    texts, grams = list[str](), Grams(len(places))
    for begin in range(0, len(places), PIECE):
        for number, place in enumerate(places[begin : begin + PIECE], begin):
            texts.append(lowered(place))
            grams.put(number, texts[-1][:-1])
        await asyncio.sleep(0)
    made = Texts(places, texts, grams)
    await asyncio.sleep(0)
    return made
