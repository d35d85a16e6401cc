"""Files whose volume was mounted again under another device number, as networks, btrfs and the next boot do it: they are what
they were, and nobody reads terabytes once more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from model_manager.agent.threads import finishing
from model_manager.errors import BadRecord
from model_manager.facts import wire
from model_manager.facts.disk import Held
from model_manager.index.index import Index
from model_manager.library.filesystems import identity

Names = dict[int, str]
"""Device number → the name of the file system that it stood for."""


class Remounting:
    """Remembers for every root which file system each device number of its files stood for.

    The device number in a fingerprint says that a file is on the same file system; the name says the same, and better: the
    kernel gives numbers anew. A file keeps what is known of it when place, inode, size and time agree, and its old and its
    new number stand for one name. Where no name is known for either, it is read again.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._names: dict[str, Names] = {}
        self._due: set[str] = set()
        self._sure: set[str] = set()

    async def same(self, found: Mapping[str, Held], before: Mapping[str, Held]) -> list[Held]:
        """Of what was found, the files that were there `before` under another device number, with all that is known of them."""
        unnamed, moved = await finishing(_sorted_out, found, before, dict(self._names))
        self._due |= unnamed
        same: list[Held] = []
        for root in {item.root for _, item in moved}:
            ours = [(old, item) for old, item in moved if item.root == root]
            then, now = dict(await self._of(root)), await finishing(_names, [item for _, item in ours])
            await self._unlearn(root, now)
            same += [
                replace(old, fingerprint=item.fingerprint)
                for old, item in ours
                if (name := now.get(item.fingerprint.device)) and name == then.get(old.fingerprint.device)
            ]
        return same

    async def remember(self, root: str, held: Iterable[Held]) -> None:
        """Which names the numbers of a root's files have, once all of it was looked through: for the first time in this process,
        or since files came under a new number."""
        if root in self._sure and root not in self._due:
            return
        names = await finishing(_names_below, root, list(held))
        if names != await self._of(root) or root in self._due:
            await self._put(root, names)
        self._sure.add(root)
        self._due.discard(root)

    async def _unlearn(self, root: str, now: Names) -> None:
        """A number that stands for another file system by now says nothing of files that are entered with it from here on, until
        all of the root was looked through: not even after a crash, so that it is written down first."""
        known = await self._of(root)
        left = {device: name for device, name in known.items() if now.get(device, name) == name}
        if left != known:
            await self._put(root, left)

    async def _of(self, root: str) -> Names:
        if root not in self._names:
            text = await self._index.note(_note(root))
            self._names[root] = _read(text) if text else {}
        return self._names[root]

    async def _put(self, root: str, names: Names) -> None:
        self._names[root] = names
        await self._index.set_note(_note(root), _text(names))


def _note(root: str) -> str:
    return f"file systems:{root}"


def _text(names: Names) -> str:
    return wire.dumps({str(device): name for device, name in sorted(names.items())}).decode()


def _read(text: str) -> Names:
    try:
        return {int(device): str(name) for device, name in wire.loads(text, "the names of file systems").items()}
    except (BadRecord, AttributeError, ValueError):
        return {}


def _sorted_out(
    found: Mapping[str, Held], before: Mapping[str, Held], names: Mapping[str, Names]
) -> tuple[set[str], list[tuple[Held, Held]]]:
    """Roots of files under a number without a name, and files that were there under another number, as they were and as they are.
    For a thread: at a first look it is every file there is."""
    unnamed = {item.root for item in found.values() if item.fingerprint.device not in names.get(item.root, {})}
    moved = [(old, item) for item in found.values() if (old := before.get(item.file)) and _elsewhere(old, item)]
    return unnamed, moved


def _elsewhere(old: Held, item: Held) -> bool:
    """Whether only the device number differs."""
    was, now = old.fingerprint, item.fingerprint
    return was.device != now.device and was == replace(now, device=was.device) and old.root == item.root


def _names_below(root: str, held: Iterable[Held]) -> Names:
    """Of a sample for each number that files of a root have."""
    return _names({each.fingerprint.device: each for each in held if each.root == root}.values())


def _names(files: Iterable[Held]) -> Names:
    """Of the devices of these files, as far as they are still there under these numbers; "" for one without a name."""
    names: Names = {}
    for held in files:
        if held.fingerprint.device in names:
            continue
        try:
            device, name = identity(held.file)
        except OSError:
            continue
        names[device] = name
    return names
