"""How does the disk differ from the index?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain

from model_manager.facts.disk import Diff, Fingerprint, Held


def compare(
    found: Iterable[Held],
    indexed: Mapping[str, Held],
    unseen: Iterable[str] = (),
    *,
    linked: Iterable[Held] = (),
    departed: Iterable[Held] = (),
) -> Diff:
    """The change that brings the index to what was `found` (without digests, as a scan sees it).

    A file whose fingerprint is unchanged keeps what is known of it. `unseen` are directories and files that could not be
    looked at: nothing at or below them counts as vanished. `linked` are files that lie elsewhere at this moment, `departed`
    such as left lately: a found file that is one of them, or of what vanishes now, inherits what is known of it.
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
    before = [indexed[item.file] for item in changed]
    same = (known for known, item in zip(before, changed, strict=True) if known.fingerprint == item.fingerprint)
    kin = kindred(chain(linked, same), chain(departed, before, vanished))
    return Diff(
        appeared=tuple(inheriting(item, kin) for item in appeared),
        changed=tuple(inheriting(item, kin) for item in changed),
        vanished=tuple(vanished),
    )


def _differs(found: Held, known: Held) -> bool:
    if found.fingerprint != known.fingerprint or found.shelf != known.shelf or found.root != known.root:
        return True
    return found.verified and found != known


def kindred(linked: Iterable[Held], departed: Iterable[Held]) -> dict[Fingerprint, Held]:
    """Fingerprint → a read file that has it or had it, verified ones before others.

    A file that is gone has left its inode number to the next one that is made. That has another time, unless archives and
    copies gave it one, which are of whole seconds: of those nothing is concluded.
    """
    kin: dict[Fingerprint, Held] = {}
    certain = (held for held in departed if held.fingerprint.mtime_ns % 1_000_000_000)
    for held in chain(linked, certain):
        if held.digests is not None and (held.fingerprint not in kin or held.verified):
            kin[held.fingerprint] = held
    return kin


def inheriting(item: Held, kin: Mapping[Fingerprint, Held]) -> Held:
    """A found file with the digests of the one that it is. A verdict on its place does not move with it, one on its bytes
    does."""
    known = kin.get(item.fingerprint) if kin else None
    if known is None or item.digests is not None:
        return item
    if known.shelf == item.shelf:
        return replace(known, file=item.file, root=item.root)
    if known.verified:
        return replace(item, digests=known.digests, evidence="content", verified_at=known.verified_at)
    return replace(item, digests=known.digests)


def learnt(known: Held, news: Held) -> Held:
    """What is known after a file was read whole: digests and verdict of `news`, unless the file changed meanwhile."""
    return replace(news, root=known.root, shelf=known.shelf) if news.fingerprint == known.fingerprint else known
