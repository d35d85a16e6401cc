"""Models as a person counts them: a file is one, and so are the many files of a sharded or a diffusers model."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from model_manager.facts.known import Known
from model_manager.index.reading import Shop

MOST_PARTS: Final = 10_000
"""Files of one model that are looked for."""

_SHARDS = re.compile(r"(?P<stem>.+)-of-(?P<total>\d{2,6})(?P<ending>(?:\.[A-Za-z0-9_]{1,20}){1,3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model. `name` is what a loader would call it, below `folder`; `parts` are its files, by path."""

    folder: str
    name: str
    parts: tuple[Known, ...]
    shards: int = 0
    """Files that a sharded model says it has, 0 for others."""

    @property
    def first(self) -> Known:
        """The largest: it says most of the whole."""
        return max(self.parts, key=lambda part: part.size)

    @property
    def bundle(self) -> str:
        return self.parts[0].bundle

    @property
    def file(self) -> str:
        """The file, or what the files of one model have in common."""
        return self.bundle or self.parts[0].file

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(part.size for part in self.parts)

    @property
    def verified(self) -> bool:
        return all(part.verified for part in self.parts)

    @property
    def trouble(self) -> str:
        """Why a file of it could not be read whole; "" when none had trouble."""
        return next(filter(None, (part.trouble for part in self.parts)), "")

    @property
    def runs_code(self) -> bool:
        """Loading it can run code that is in it, verified or not."""
        return any(part.runs_code for part in self.parts)

    @property
    def incomplete(self) -> bool:
        """Shards are missing."""
        return len(self.parts) < self.shards

    @property
    def read(self) -> bool:
        return all(part.digests for part in self.parts)


def lines(shop: Shop, found: Iterable[Known]) -> Iterator[Line]:
    """Each model once, where the first of its files stands."""
    seen: set[str] = set()
    for known in found:
        if not known.bundle:
            yield Line(folder=known.folder, name=known.name, parts=(known,))
        elif known.bundle not in seen:
            seen.add(known.bundle)
            yield whole(shop, known)


def whole(shop: Shop, part: Known) -> Line:
    """The model of several files that one is a part of."""
    shards = _SHARDS.fullmatch(os.path.basename(part.bundle))
    inside = part.file.startswith(f"{part.bundle}/")
    if shards and not inside:
        parts, name = _shards(shop, part, shards), f"{shards['stem']}{shards['ending']}"
        above = os.path.dirname(part.name)
        name = f"{above}/{name}" if above else name
        return Line(folder=part.folder, name=name, parts=parts or (part,), shards=int(shards["total"]))
    name = part.name[: len(part.name) - len(part.file) + len(part.bundle)]
    below = shop.listing(folder=f"{part.folder}/{name}", directory=part.root, limit=MOST_PARTS)
    return Line(folder=part.folder, name=name, parts=_of(part.bundle, below) or (part,))


def _shards(shop: Shop, part: Known, shards: re.Match[str]) -> tuple[Known, ...]:
    directory, total = os.path.dirname(part.file), shards["total"]
    names = (f"{shards['stem']}-{n:0{len(total)}}-of-{total}{shards['ending']}" for n in range(1, int(total) + 1))
    return _of(part.bundle, (known for name in names for known in shop.find(f"{directory}/{name}", limit=1)))


def _of(bundle: str, found: Iterable[Known]) -> tuple[Known, ...]:
    return tuple(sorted((known for known in found if known.bundle == bundle), key=lambda known: known.file))
