"""How does the disk differ from the index?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from model_manager.facts.disk import Diff, Held


def compare(found: Iterable[Held], indexed: Mapping[str, Held], unseen: Iterable[str] = ()) -> Diff:
    """The change that brings the index to what was `found` (without digests, as a scan sees it).

    A file whose fingerprint is unchanged keeps what is known of it. `unseen` are directories and files that could not be
    looked at: nothing at or below them counts as vanished.
    """
    hidden = frozenset(place.rstrip("/") for place in unseen)
    prefixes = tuple(f"{place}/" for place in hidden)
    appeared: list[Held] = []
    changed: list[Held] = []
    here: set[str] = set()
    for item in found:
        here.add(item.file)
        known = indexed.get(item.file)
        if known is None:
            appeared.append(item)
        elif _differs(item, known):
            changed.append(item)
    vanished = [
        item for file, item in indexed.items() if not (file in here or file in hidden or file.startswith(prefixes))
    ]
    return Diff(appeared=tuple(appeared), changed=tuple(changed), vanished=tuple(vanished))


def _differs(found: Held, known: Held) -> bool:
    if found.fingerprint != known.fingerprint or found.shelf != known.shelf or found.root != known.root:
        return True
    return found.verified and found != known


def learnt(known: Held, news: Held) -> Held:
    """What is known after a file was read whole: digests and verdict of `news`, unless the file changed meanwhile."""
    return replace(news, root=known.root, shelf=known.shelf) if news.fingerprint == known.fingerprint else known
