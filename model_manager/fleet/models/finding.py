"""Models by parts of their names, as fast as somebody types: one look over all of them, and what was found is kept up to date."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import compress
from typing import Final

from model_manager.fleet.models.kept import Kept
from model_manager.fleet.models.texts import Texts, gathered, lowered
from model_manager.fleet.shapes import ModelRow
from model_manager.fleet.view import View

SOON: Final = 1_024
"""Names that came or went since the text was made, from which on it is made anew when nobody waits."""

NOW: Final = 4_096
"""The same when somebody does."""

AFTER_SLASH: Final = "0"
"""The character behind "/": what begins with a directory stands between them."""

Question = tuple[str, str | None, bool | None, bool]


class Finding:
    """The text of all names is made anew after many of them came or went; until then those stand beside it."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._texts = Texts((), ())
        self._version = 0
        self._gone: set[str] = set()
        self._more: dict[str, str] = {}
        self._kept: Kept[ModelRow | None] = Kept(view.catalogue.journal, view.catalogue.counted.get)

    def places(
        self, q: str = "", folder: str | None = None, single: bool | None = None, *, best: bool = False
    ) -> Sequence[str]:
        """`folder/name` in which every word of `q` occurs, in any case; by name, or `best` first: those whose file begins with
        the first word. `single`: only those that one machine has, or that several have. Do not change it, and be done with
        it before anybody else has a turn."""
        order, words = self._view.order(), q.lower().split()
        if not words and folder is None and single is None:
            return order
        best = best and bool(words)
        question = " ".join(words), folder, single, best
        found = self._kept.get(question)
        if found is None:
            rank = _best_first(words[0]) if best else None
            found = self._looked(order, words, question)
            self._kept.put(question, found, self._fits(words, folder, single), rank)
        return found

    async def tidy(self) -> None:
        """Make the text anew when it is due, a piece at a time."""
        order, version = self._view.order(), self._view.catalogue.journal.version
        self._follow()
        if len(self._gone) + len(self._more) < SOON:
            return
        made = await gathered(order)
        self._take(made, version)

    def _looked(self, order: Sequence[str], words: Sequence[str], question: Question) -> list[str]:
        _, folder, single, best = question
        if words:
            found = self._worded(order, words, best=best)
            if folder is not None:
                found = [place for place in found if place.startswith(f"{folder}/")]
        else:
            found = list(order if folder is None else below(order, f"{folder}/"))
        if single is None:
            return found
        alone = self._view.catalogue.single
        chosen = map(alone.__contains__, found) if single else (place not in alone for place in found)
        return list(compress(found, chosen))

    def _worded(self, order: Sequence[str], words: Sequence[str], *, best: bool) -> list[str]:
        self._follow()
        if len(self._gone) + len(self._more) > NOW:
            self._take(Texts(order, [*map(lowered, order)]), self._view.catalogue.journal.version)
        texts, first = self._texts, words[0]
        numbers = texts.holding(words)
        more = [place for place, text in self._more.items() if all(word in text for word in words)]
        if not best:
            return self._merged(numbers, more)
        begin = texts.beginning(numbers, first)
        new = [place for place in more if _begins(self._more[place], first)]
        if len(begin) == len(numbers) or not begin:
            rest: Sequence[int] = () if begin else numbers
        else:
            begun = set(begin)
            rest = [n for n in numbers if n not in begun]
        others = [place for place in more if place not in new] if new else more
        return [*self._merged(begin, new), *self._merged(rest, others)]

    def _merged(self, numbers: Iterable[int], more: Collection[str]) -> list[str]:
        places, gone = self._texts.places, self._gone
        found = list(map(places.__getitem__, numbers))
        if gone:
            found = [place for place in found if place not in gone]
        if more:  # two lists that are in order are merged by sorting them
            found += sorted(more)
            found.sort()
        return found

    def _fits(self, words: Sequence[str], folder: str | None, single: bool | None) -> Callable[[str], bool]:
        rows = self._view.catalogue.counted

        def fits(place: str) -> bool:
            row, text = rows.get(place), lowered(place)
            return (
                row is not None
                and all(word in text for word in words)
                and (folder is None or place.startswith(f"{folder}/"))
                and (single is None or (row.machines == 1) == single)
            )

        return fits

    def _follow(self) -> None:
        """Which names came and went."""
        journal = self._view.catalogue.journal
        if self._version == journal.version:
            return
        changed = journal.since(self._version)
        if changed is None:  # of more changes than anybody remembers
            self._gone, self._more = {*self._texts.places}, {place: lowered(place) for place in self._view.order()}
        else:
            self._lay(changed)
        self._version = journal.version

    def _lay(self, changed: Iterable[str]) -> None:
        rows = self._view.catalogue.counted
        for place in changed:
            if place in self._texts:
                (self._gone.discard if place in rows else self._gone.add)(place)
            elif place in rows:
                self._more[place] = lowered(place)
            else:
                self._more.pop(place, None)

    def _take(self, texts: Texts, version: int) -> None:
        """A text of all names as of a version."""
        self._texts, self._gone, self._more, self._version = texts, set(), {}, version
        self._follow()


def below(order: Sequence[str], directory: str) -> Sequence[str]:
    """Of places in order those that begin with a directory, which ends in "/"."""
    return order[bisect_left(order, directory) : bisect_left(order, directory[:-1] + AFTER_SLASH)]


def _best_first(word: str) -> Callable[[str, object], tuple[bool, str]]:
    return lambda place, _: (not _begins(lowered(place), word), place)


def _begins(text: str, word: str) -> bool:
    return text.startswith(word, text.rfind("/") + 1)
