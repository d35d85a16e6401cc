"""Which content is each file? Decided in memory, from what the index knows of the bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from model_manager.facts.disk import Fingerprint, Held
from model_manager.facts.identity import Digests
from model_manager.index.rows import DIGESTS

Known = tuple[str | None, ...]
"""The digests of a content, in the order of DIGESTS."""

_NONE: Known = (None,) * len(DIGESTS)


class Filing:
    """Files with one full digest are one content, and so are those with one fingerprint, hard links of one file, as long
    as their digests do not tell them apart.

    `contents`: those that may be concerned, id → digests; `mates`: fingerprint → content of files that are here; new
    contents get the ids from `next_id` on. Afterwards `fresh` are the new ones with their sizes, `learnt` those whose
    digests changed, `merged` those that turned out to be another one, in the order of their finding.
    """

    def __init__(self, contents: Mapping[int, Known], mates: Mapping[Fingerprint, int], next_id: int) -> None:
        self.contents = dict(contents)
        self.fresh: dict[int, int] = {}
        self.learnt: set[int] = set()
        self.merged: dict[int, int] = {}
        self._mates = dict(mates)
        self._next = next_id
        self._sha256 = {known[0]: id for id, known in contents.items() if known[0]}
        self._blake3 = {known[1]: id for id, known in contents.items() if known[1]}

    def put(self, held: Held, before: int | None) -> int:
        """The content of a file. `before`: what it was when it had the fingerprint that it still has."""
        mark = held.fingerprint
        same = self._mates.get(mark) if before is None else before
        same = None if same is None else self.now(same)
        if held.digests is not None:
            same = self._read(held.digests, same, mark.size)
        elif same is None:
            same = self._new(mark.size)
        self._mates[mark] = same
        return same

    def now(self, content: int) -> int:
        """What a content is after the merges."""
        while content in self.merged:
            content = self.merged[content]
        return content

    def _read(self, digests: Digests, same: int | None, size: int) -> int:
        known = tuple(getattr(digests, name) for name in DIGESTS)
        twins = dict.fromkeys(self._agreeing(known, (self._blake3.get(known[1]), same)))
        if (sure := self._sha256.get(known[0])) is not None:
            twins = {sure: None} | twins
        into, *others = twins or (self._new(size),)
        self._learn(into, known)
        for other in others:
            if not _differ(self.contents[other], self.contents[into]):
                self._merge(other, into)
        return into

    def _agreeing(self, known: Known, candidates: Iterable[int | None]) -> Iterable[int]:
        for one in candidates:
            if one is not None and _agree(self.contents[one], known):
                yield one

    def _new(self, size: int) -> int:
        content, self._next = self._next, self._next + 1
        self.contents[content], self.fresh[content] = _NONE, size
        return content

    def _merge(self, other: int, into: int) -> None:
        self.merged[other] = into
        gone = self.contents.pop(other)
        for found, digest in ((self._sha256, gone[0]), (self._blake3, gone[1])):
            if digest:
                del found[digest]
        self._learn(into, tuple(mine or theirs for mine, theirs in zip(self.contents[into], gone, strict=True)))

    def _learn(self, content: int, news: Known) -> None:
        """Full digests stay as they are once known: a second file cannot change what the bytes of the first are."""
        before = self.contents[content]
        sha256 = before[0] or (None if news[0] in self._sha256 else news[0])
        blake3 = before[1] or (None if news[1] in self._blake3 else news[1])
        others = (new or old for new, old in zip(news[2:], before[2:], strict=True))
        known = (sha256, blake3, *others)
        if known == before:
            return
        self.contents[content] = known
        self.learnt.add(content)
        if sha256:
            self._sha256[sha256] = content
        if blake3:
            self._blake3[blake3] = content


def _agree(one: Known, known: Known) -> bool:
    """Whether a content can be these bytes: nobody has read it, or a full digest is the same and none differs."""
    shared = any(mine and mine == theirs for mine, theirs in zip(one[:2], known[:2], strict=True))
    return (shared or one[:2] == (None, None)) and not _differ(one, known)


def _differ(one: Known, other: Known) -> bool:
    return any(mine and theirs and mine != theirs for mine, theirs in zip(one[:2], other[:2], strict=True))
