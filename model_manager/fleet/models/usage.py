"""When a model was last needed by a job, as routing remembers it: by whatever the job called it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from model_manager.facts.mirror import Copy
from model_manager.facts.shelf import ShelfPath

Ran = Mapping[str, int]
"""`n:` and a name or the end of one, `f:` and category/name, `h:` and a SHA-256 or AutoV2 → seconds since 1970."""


class Usage:
    """`ran`: machine → what it ran."""

    def __init__(self, ran: Mapping[str, Ran]) -> None:
        self._ran = ran
        self._anywhere: dict[str, int] = {}
        for told in ran.values():
            for word, at in told.items():
                self._anywhere[word] = max(at, self._anywhere.get(word, 0))

    def differing(self, other: Usage) -> set[str]:
        """What jobs called the models of which either knows another time."""
        return {word for word, _ in self._anywhere.items() ^ other._anywhere.items()}

    def there(self, machine_id: str, copy: Copy) -> int | None:
        """Of a file of one machine."""
        told = self._ran.get(machine_id)
        return _latest(told, _words(copy.folder, copy.name, (copy.hash,))) if told else None

    def anywhere(self, folder: str, name: str, hashes: Iterable[str]) -> int | None:
        """Of a model, on whichever machine."""
        return _latest(self._anywhere, _words(folder, name, hashes)) if self._anywhere else None


def _latest(told: Ran, words: Iterable[str]) -> int | None:
    return max((told[word] for word in words if word in told), default=None)


def _words(folder: str, name: str, hashes: Iterable[str]) -> Iterator[str]:
    """What a job may call a model: the rules of lua/rules/models.lua."""
    yield f"f:{ShelfPath(folder=folder, name=name).category}/{name}"
    rest = name
    while rest:
        yield f"n:{rest}"
        rest = rest.partition("/")[2]
    for sha256 in hashes:
        if sha256:
            yield f"h:{sha256}"
            yield f"h:{sha256[:10]}"
