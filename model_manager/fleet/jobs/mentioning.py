"""Which jobs ask for a model: by whatever they call it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from model_manager.facts.shelf import CATEGORY_OF
from model_manager.fleet.jobs.submitting import listed

Called = frozenset[str]
"""Every text by which a job may mean one model."""


def called(place: str, hashes: Iterable[str]) -> Called:
    """Of `folder/name`: folder and name, its name with as much of its path as one likes, and its hashes."""
    folder, _, name = place.partition("/")
    parts = name.split("/")
    names = ("/".join(parts[begin:]) for begin in range(len(parts)))
    digests = (text for sha256 in hashes for text in (sha256, sha256[:10]))
    return frozenset((f"{_category(folder)}/{name}", *names, *digests))


def mentions(asks: Mapping[str, Any], words: Called) -> bool:
    """Whether what a job asks for names the model that is called so."""
    return any(text in words for each in listed(asks.get("models")) for text in _texts(each))


def _texts(model: Any) -> Iterator[str]:
    if isinstance(model, str):
        yield from _spelt(model)
    if isinstance(model, dict):
        name, folder = model.get("name") or model.get("filename"), model.get("folder")
        if isinstance(name, str) and isinstance(folder, str):
            yield f"{_category(folder)}/{name}"
        for each in (None if folder else name, model.get("path"), model.get("sha256"), model.get("hash")):
            if isinstance(each, str):
                yield from _spelt(each)


def _spelt(text: str) -> Iterator[str]:
    """As a path, and as a digest. `models/` before it says nothing."""
    inner = text.removeprefix("models/")
    folder, slash, name = inner.partition("/")
    yield f"{_category(folder)}/{name}" if slash else inner
    yield inner
    yield inner.lower().removeprefix("sha256:").removeprefix("autov2:")


def _category(folder: str) -> str:
    return CATEGORY_OF.get(folder, folder)
