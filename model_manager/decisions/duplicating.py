"""Which files hold the same bytes, which of them is kept, and what could stand in for the others?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from model_manager.facts.duplicate import Copy, Duplicate, How, Redundant

_WHY: Final = {
    "reflink": "its file system lets two files share blocks; it stays a file of its own",
    "hard link": "it becomes a second name of the kept file; a change in place then changes both",
}


def duplicates(groups: Iterable[tuple[str, Sequence[Copy]]], sharing: Collection[int]) -> tuple[Duplicate, ...]:
    """What is there more than once, the most reclaimable bytes first.

    `groups`: full digests and every name under which these bytes lie; `sharing`: the devices (st_dev) whose file systems
    let files share blocks. Hard links, symbolic links and files that share their blocks already are no duplicates, and
    neither are files without bytes.
    """
    found = (one for digest, copies in groups for one in _of_digest(digest, copies, sharing))
    return tuple(sorted(found, key=lambda one: (-one.reclaimable, one.kept.file)))


def _of_digest(digest: str, copies: Sequence[Copy], sharing: Collection[int]) -> Iterator[Duplicate]:
    """One answer for each size: names that an index had not looked at again may be of other bytes by now."""
    by_size: defaultdict[int, list[Copy]] = defaultdict(list)
    for copy in copies:
        by_size[copy.fingerprint.size].append(copy)
    for size, same in by_size.items():
        if size and (one := _duplicate(digest, size, same, sharing)):
            yield one


def _duplicate(digest: str, size: int, copies: list[Copy], sharing: Collection[int]) -> Duplicate | None:
    files = _files(copies)
    kept = files[0][0]
    stays = {file[0].identity[0]: file[0] for file in reversed(files)}
    redundant = tuple(
        _redundant(file, kept, stays[file[0].identity[0]], sharing)
        for file in files[1:]
        if not _shares(file[0], stays[file[0].identity[0]])
    )
    if not redundant:
        return None
    return Duplicate(digest=digest, size=size, kept=kept, why=_kept_because(kept, files), redundant=redundant)


def _files(copies: Iterable[Copy]) -> list[tuple[Copy, ...]]:
    """Names by file; the file to keep comes first, and so does the best name of each."""
    by_file: defaultdict[tuple[int, int], list[Copy]] = defaultdict(list)
    for copy in copies:
        by_file[copy.identity].append(copy)
    return sorted((tuple(sorted(names, key=_rank)) for names in by_file.values()), key=lambda names: _rank(names[0]))


def _rank(copy: Copy) -> tuple[bool, bool, int, int, str]:
    """Verified before unverified, ours before others', older before newer, shorter path before longer."""
    return not copy.verified, not copy.own, copy.fingerprint.mtime_ns, len(copy.file), copy.file


def _shares(copy: Copy, other: Copy) -> bool:
    return copy is not other and copy.blocks is not None and copy.blocks == other.blocks


def _redundant(names: tuple[Copy, ...], kept: Copy, stays: Copy, sharing: Collection[int]) -> Redundant:
    device, size = names[0].identity[0], names[0].fingerprint.size
    if stays in names:
        why = f"it lies on another device than {kept.file}: only a file of the same device can stand in for it"
        return Redundant(copies=names, by=kept, how=None, why=why, reclaimable=0)
    how: How = "reflink" if device in sharing else "hard link"
    return Redundant(copies=names, by=stays, how=how, why=_WHY[how], reclaimable=size)


def _kept_because(kept: Copy, files: Sequence[tuple[Copy, ...]]) -> str:
    """The first trait in which it goes before every other file that could have been kept."""
    others = [names[0] for names in files[1:]]
    rank, best = _rank(kept), min(map(_rank, others))
    reasons = ("it is verified", "it lies in our own store", "it is the oldest", "its path is the shortest")
    told = next((why for why, mine, theirs in zip(reasons, rank, best, strict=False) if mine != theirs), None)
    return told or "its path comes first in the alphabet"
