"""What is known of an unfinished download: a small JSON file beside its bytes, replaced whole."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from model_manager.errors import BadRecord
from model_manager.facts.identity import Pin
from model_manager.facts.transfer import Offer
from model_manager.facts.wire import dumps, loads
from model_manager.library.disk import Disk, opened, write_whole

_MAX_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """`slot` is what the bytes are for; `synced` how many of them survive a power cut; `total` and `validator` (a strong
    ETag) what the origin at `url` said of the whole object; `promise` a digest that it vouched for, `pin` the catalog's.

    `writer` names the one process that may go on; `complete` says that the last byte was there.
    """

    slot: str
    writer: str
    url: str = ""
    host: str = ""
    validator: str | None = None
    total: int | None = None
    promise: Pin | None = None
    pin: Pin | None = None
    synced: int = 0
    complete: bool = False

    def goes_on_with(self, url: str, pin: Pin | None) -> tuple[bool, str | None]:
        """Whether something can prove the rest of `url` to be the rest of this object, and the validator if that is it."""
        if self.url == bare(url) and self.validator is not None:
            return True, self.validator
        vouched = [known for known in (self.promise, self.pin) if known is not None and known.strong]
        return pin is not None and pin in vouched, None

    def under(self, url: str, offer: Offer, pin: Pin | None) -> Journal:
        """What is known when the bytes that follow come by this offer. From byte 0 on, nothing older counts."""
        before = self if offer.start else Journal(slot=self.slot, writer=self.writer)
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
            synced=before.synced,
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


def save(disk: Disk, folder: int, name: str, journal: Journal) -> None:
    """Replace the journal, durably. Raises OSError."""
    write_whole(disk, folder, name, dumps(asdict(journal)) + b"\n", 0o600)


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
            synced=int(body["synced"]),
            complete=body["complete"] is True,
        )
    return None


def _pin(body: Any) -> Pin | None:
    return None if body is None else Pin(algorithms=tuple(body["algorithms"]), hex=str(body["hex"]))
