"""What is known of an unfinished download: a small JSON file beside its bytes, replaced whole."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from model_manager.errors import BadRecord, Corrupt
from model_manager.facts.identity import Pin
from model_manager.facts.transfer import Offer
from model_manager.facts.wire import dumps, loads
from model_manager.library.disk import Disk, opened, write_new, write_whole
from model_manager.library.incoming.extents import Extents, Span
from model_manager.library.incoming.midstate import SIZE

_MAX_BYTES: Final = 64 * 1024

MAX_EXTENTS: Final = 256
"""Extents that are written down; of more, the smallest are fetched again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashed:
    """The state of SHA-256 after the first `offset` bytes, as hex, with a checksum: a damaged one is never taken up."""

    offset: int
    state: str
    check: str

    @classmethod
    def of(cls, offset: int, state: bytes) -> Hashed:
        return cls(offset=offset, state=state.hex(), check=_checksum(offset, state.hex()))

    @property
    def sound(self) -> bool:
        """Whether it is what was written down, and was so after as many bytes as it says."""
        if len(self.state) != 2 * SIZE or self.check != _checksum(self.offset, self.state):
            return False
        low, high = (int.from_bytes(bytes.fromhex(self.state[at : at + 8]), sys.byteorder) for at in (64, 72))
        return low + (high << 32) == 8 * self.offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """`slot` is what the bytes are for; `extents` which of them survive a power cut; `total` and `validator` (a strong
    ETag) what the origin at `url` said of the whole object; `promise` a digest that it vouched for, `pin` the catalog's.

    `writer` names the one process that may go on; `complete` says that the last byte was there; `hashed` saves hashing the
    beginning again.
    """

    slot: str
    writer: str
    url: str = ""
    host: str = ""
    validator: str | None = None
    total: int | None = None
    promise: Pin | None = None
    pin: Pin | None = None
    extents: tuple[Span, ...] = ()
    complete: bool = False
    hashed: Hashed | None = None

    @property
    def reached(self) -> int:
        """Bytes of the beginning without a hole."""
        return self.extents[0][1] if self.extents and self.extents[0][0] == 0 else 0

    def goes_on_with(self, url: str, pin: Pin | None) -> tuple[bool, str | None]:
        """Whether something can prove the rest of `url` to be the rest of this object, and the validator if that is it."""
        if self.url == bare(url) and self.validator is not None:
            return True, self.validator
        vouched = [known for known in (self.promise, self.pin) if known is not None and known.strong]
        return pin is not None and pin in vouched, None

    def with_safe(self, extents: tuple[Span, ...], offset: int, state: bytes | None) -> Journal:
        """After a sync: what is safe, and the hash state of the first `offset` bytes."""
        return replace(self, extents=extents, hashed=Hashed.of(offset, state) if state else None)

    def same_as(self, url: str, offer: Offer) -> bool:
        """Whether an offer is of the very object whose bytes are here: its address, length and strong ETag are the same."""
        known = self.validator is not None and self.total is not None
        return known and (self.url, self.validator, self.total) == (bare(url), offer.validator, offer.size)

    def contradiction(self, url: str, offer: Offer) -> str | None:
        """Why an offer cannot be of the object whose bytes are here, if anything says so."""
        for what, before, now in (
            ("length", self.total, offer.size),
            ("ETag", self.validator if self.url == bare(url) else None, offer.validator),
            ("digest", self.promise, offer.promise),
        ):
            if before is not None and now is not None and before != now:
                return f"its {what} was {before} and is {now} now"
        return None

    def insist_goes_on(self, url: str, offer: Offer, reached: int) -> None:
        """Raise Corrupt when an offer does not go on behind the first `reached` bytes, or is of another object."""
        why = self.contradiction(url, offer)
        if offer.start not in (0, reached):
            why = f"it begins at byte {offer.start} instead of {reached}"
        if why:
            raise Corrupt(name=self.slot, host=offer.host, why=why)

    def under(self, url: str, offer: Offer, pin: Pin | None) -> Journal:
        """What is known when the bytes that follow come by this offer. From byte 0 on, nothing older counts, but of the very
        same object."""
        before = self if offer.start or self.same_as(url, offer) else Journal(slot=self.slot, writer=self.writer)
        same = before.url == bare(url)
        return Journal(
            slot=self.slot,
            writer=self.writer,
            url=bare(url),
            host=offer.host,
            validator=offer.validator or (before.validator if same else None),
            total=before.total if offer.size is None else offer.size,
            promise=offer.promise or before.promise,
            pin=pin,
            extents=before.extents,
            hashed=before.hashed,
        )


def bare(url: str) -> str:
    """An address without userinfo, query and fragment: what may be written down."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def load(folder: int, name: str) -> Journal | None:
    """The journal of that name in a directory, or None when there is none that can be used. Raises OSError."""
    try:
        with opened(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, folder=folder) as fd:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            return _parse(loads(os.read(fd, _MAX_BYTES), name))
    except (FileNotFoundError, BadRecord):
        return None


def save(disk: Disk, folder: int, name: str, journal: Journal, *, lasting: bool = True) -> None:
    """Replace the journal, durably where it must be `lasting`. A first one that need not be costs few calls: of half a one
    `load` says that there is none. Raises OSError."""
    largest = sorted(journal.extents, key=lambda span: span[0] - span[1])[:MAX_EXTENTS]
    body = asdict(journal) | {"extents": sorted(largest)}
    data = dumps(body) + b"\n"
    if not lasting:
        with suppress(FileExistsError):
            write_new(disk, folder, name, data, 0o600)
            return
    write_whole(disk, folder, name, data, 0o600, lasting=lasting)


def _parse(body: Any) -> Journal | None:
    with suppress(KeyError, TypeError, ValueError):
        return Journal(
            slot=str(body["slot"]),
            writer=str(body["writer"]),
            url=str(body["url"]),
            host=str(body["host"]),
            validator=None if body["validator"] is None else str(body["validator"]),
            total=None if body["total"] is None else int(body["total"]),
            promise=_pin(body["promise"]),
            pin=_pin(body["pin"]),
            extents=_extents(body),
            complete=body["complete"] is True,
            hashed=_hashed(body.get("hashed")),
        )
    return None


def _extents(body: Any) -> tuple[Span, ...]:
    """Spans in order. Earlier versions wrote down one number: that many bytes from the beginning."""
    if "extents" not in body:
        return Extents([(0, int(body["synced"]))]).spans
    spans = [(int(start), int(stop)) for start, stop in body["extents"]]
    if any(not 0 <= start < stop for start, stop in spans):
        raise ValueError
    return Extents(spans).spans


def _hashed(body: Any) -> Hashed | None:
    if body is None:
        return None
    found = Hashed(offset=int(body["offset"]), state=str(body["state"]), check=str(body["check"]))
    return found if found.sound else None


def _checksum(offset: int, state: str) -> str:
    return hashlib.sha256(f"{offset}:{state}".encode()).hexdigest()[:16]


def _pin(body: Any) -> Pin | None:
    return None if body is None else Pin(algorithms=tuple(body["algorithms"]), hex=str(body["hex"]))
