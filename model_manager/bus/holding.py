"""Who holds what: each distinct copy once in memory, and the machines that have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from sys import intern
from typing import Any

from model_manager.facts.event import Entry, Envelope
from model_manager.facts.mirror import Copy, CopyKey, Laid, copy_of, key_of, laid, made
from model_manager.facts.wire import Sealed


class Holders:
    """A thousand machines with the same three hundred models have three hundred copies here, and mirrors point to them.

    `touched` is given the place of every copy that a machine gets or loses."""

    def __init__(self, touched: set[str] | None = None) -> None:
        self._touched = touched
        self._copies: dict[CopyKey, Copy] = {}
        self._machines: dict[CopyKey, set[str]] = {}
        self._by_name: dict[str, set[CopyKey]] = {}
        self._by_hash: dict[str, set[CopyKey]] = {}

    def share(self, entry: Entry) -> Copy:
        """The copy that stands for an entry."""
        return self._copies.get(key_of(entry)) or copy_of(entry)

    def laid(self, envelope: Envelope) -> Laid:
        """What an event lays over its machine's inventory, in copies that stand for its entries."""
        if envelope.kind not in _CHANGING:
            return ()
        if isinstance(envelope, Sealed):
            try:
                models = envelope.body["models"]
                if envelope.kind == "model.vanished":
                    return [(_path(each), None) for each in models]
                return [((copy := self.read(each)).path, copy) for each in models]
            except (KeyError, TypeError):
                return laid(envelope, self.share)  # of another shape: the record's rules say whether it is an event
        return laid(envelope, self.share)

    def read(self, entry: Mapping[str, Any]) -> Copy:
        """The same of an entry as JSON. Raises KeyError and TypeError when it is none."""
        path, size, sha256, verified = entry["path"], entry["size"], entry["hash"], entry["verified"]
        key = (path, size, sha256, verified, entry["folder"], entry["name"], entry["evidence"])
        return self._copies.get(key) or _made(key)

    def replace(self, machine_id: str, before: Mapping[str, Copy], after: Mapping[str, Copy]) -> None:
        """All that a machine has, when it had `before`."""
        for path, copy in before.items():
            if after.get(path) is not copy:
                self._leave(machine_id, copy)
        for path, copy in after.items():
            if before.get(path) is not copy:
                self._enter(machine_id, copy)

    def lay(self, machine_id: str, entries: dict[str, Copy], changes: Laid) -> None:
        """Changes `entries`, which are all that a machine has, in place."""
        for path, new in changes:
            old = entries.pop(path, None) if new is None else entries.get(path)
            if old is not None:
                self._leave(machine_id, old)
            if new is not None:
                entries[path] = new
                self._enter(machine_id, new)

    def named(self, name: str) -> Iterator[tuple[Copy, AbstractSet[str]]]:
        """Copies of this name (within its folder, or `folder/name`) and who has them."""
        yield from self._of(self._by_name.get(name, ()))
        folder, _, rest = name.partition("/")
        yield from self._of(key for key in self._by_name.get(rest, ()) if rest and key[4] == folder)

    def hashed(self, sha256: str) -> Iterator[tuple[Copy, AbstractSet[str]]]:
        """Copies with this SHA-256 and who has them."""
        return self._of(self._by_hash.get(sha256.lower(), ()))

    def __iter__(self) -> Iterator[tuple[Copy, AbstractSet[str]]]:
        """Every copy that somebody has, and who."""
        return self._of(self._copies)

    def __len__(self) -> int:
        return len(self._copies)

    def _of(self, keys: Iterable[CopyKey]) -> Iterator[tuple[Copy, AbstractSet[str]]]:
        return ((self._copies[key], self._machines[key]) for key in keys)

    def _enter(self, machine_id: str, copy: Copy) -> None:
        if self._touched is not None:
            self._touched.add(copy.place)
        key = copy.key
        machines = self._machines.get(key)
        if machines is not None:
            machines.add(machine_id)
            return
        self._copies[key], self._machines[key] = copy, {machine_id}
        self._by_name.setdefault(copy.name, set()).add(key)
        if copy.hash:
            self._by_hash.setdefault(copy.hash, set()).add(key)

    def _leave(self, machine_id: str, copy: Copy) -> None:
        if self._touched is not None:
            self._touched.add(copy.place)
        key = copy.key
        machines = self._machines[key]
        machines.discard(machine_id)
        if machines:
            return
        del self._copies[key], self._machines[key]
        _dropped(self._by_name, copy.name, key)
        if copy.hash:
            _dropped(self._by_hash, copy.hash, key)


_CHANGING = frozenset({"model.appeared", "model.changed", "model.vanished"})


def _path(gone: Mapping[str, Any]) -> str:
    path = gone["path"]
    if not isinstance(path, str):
        raise TypeError("a path is of another type")
    return path


def _made(key: CopyKey) -> Copy:
    path, size, sha256, verified, folder, name, evidence = key
    texts = all(isinstance(each, str) for each in (path, sha256, folder, name, evidence))
    if not texts or type(size) is not int or type(verified) is not bool:
        raise TypeError("a field is of another type")
    return made((path, size, sha256, verified, intern(folder), name, intern(evidence)))


def _dropped(table: dict[str, set[CopyKey]], word: str, key: CopyKey) -> None:
    table[word].discard(key)
    if not table[word]:
        del table[word]
