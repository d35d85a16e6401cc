"""What an http answer offers, or why it offers nothing: status and headers in, an Offer or a typed failure out."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from model_manager.errors import Corrupt, ModelManagerError, NotFound, OriginUnavailable, RangeBeyond, Refused
from model_manager.facts.identity import Pin
from model_manager.facts.transfer import Offer
from model_manager.sources.origin import strong

LONGEST_WAIT: Final = 3600.0
"""Seconds: the most that a Retry-After is believed."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})")
_RANGE = re.compile(r"bytes=(\d+)-\d*")
_CONTENT_DIGEST = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/]{43}=):", re.IGNORECASE)
_CONTENT_MD5 = re.compile(r"([A-Za-z0-9+/]{22}==)")
_LATER: Final = frozenset({408, 425, 429})
_SIGNED_OUT: Final = frozenset({400, 401, 403, 410})
"""What a storage host answers when the signature in the address has expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What the front of a store says of the object behind it: its digest and its length in bytes.

    `proves`: it said so while redirecting, so that it will say so again before the store is asked to go on.
    """

    pin: Pin | None = None
    size: int | None = None
    proves: bool = True

    @property
    def validator(self) -> str | None:
        """The digest as an ETag: no proof is stronger."""
        return f'"{self.pin.hex}"' if self.pin and self.proves else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for. `start` counts only with a strong `validator`, or for a `pinned` object; a `probe` wants one byte."""

    name: str
    start: int = 0
    validator: str | None = None
    size: int | None = None
    probe: bool = False
    pinned: bool = False

    def headers(self) -> dict[str, str]:
        """The headers that say so (RFC 9110, 13.1.5 and 14.2)."""
        if self.probe:
            return {"Range": "bytes=0-0"}
        if self.start > 0 and self.validator is not None and strong(self.validator):
            return {"Range": f"bytes={self.start}-", "If-Range": self.validator}
        return {"Range": f"bytes={self.start}-"} if self.start > 0 and self.pinned else {}


def offer_of(
    wish: Wish, host: str, status: int, headers: Mapping[str, str], sent: Mapping[str, str], linked: Linked
) -> Offer:
    """The offer in an answer with a body. Raises Corrupt when it contradicts itself or the request, RangeBeyond on 416.

    `sent` are the headers of the request that got this answer.
    """
    if status in (200, 206):
        _insist_plain(wish, host, headers)
    asked = _RANGE.fullmatch(sent.get("Range", ""))
    start, size = 0, linked.size
    if status == 416 and asked:
        start, size = _beyond(wish, host, headers)
    elif status == 206:
        start = int(asked[1]) if asked else -1
        size = _total(wish, host, headers, start)
        _insist_same(wish, host, headers, sent)
        if start and wish.pinned and "If-Range" not in sent and size is None and wish.size is not None:
            raise _corrupt(wish, host, "a part came that does not say of how much")
    elif status == 200:
        size = _number(headers.get("Content-Length"))
    else:
        raise OriginUnavailable(host=host, name=wish.name, why=f"it answered {status} without the object")
    if start and wish.size is not None and size is not None and size != wish.size:
        raise _corrupt(wish, host, f"it has {size} bytes now and had {wish.size} before")
    if linked.size is not None and size is not None and size != linked.size:
        raise _corrupt(wish, host, f"{size} bytes are offered where {linked.size} were announced")
    return Offer(
        size=linked.size if size is None else size,
        validator=linked.validator or _validator(headers),
        promise=linked.pin,
        start=start,
        host=host,
    )


def _insist_plain(wish: Wish, host: str, headers: Mapping[str, str]) -> None:
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise _corrupt(wish, host, f"it is compressed on the way ({encoding}), which was not asked for")
    kind = headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise _corrupt(wish, host, "a web page came instead of a file")


def _beyond(wish: Wish, host: str, headers: Mapping[str, str]) -> tuple[int, int]:
    """An empty object has no first byte; else what we hold is as long as the object, or longer."""
    match = _UNSATISFIED.fullmatch(headers.get("Content-Range", ""))
    size = int(match[1]) if match else None
    if wish.probe and size == 0:
        return 0, 0
    raise RangeBeyond(size=size, host=host, start=wish.start, name=wish.name)


def _total(wish: Wish, host: str, headers: Mapping[str, str], start: int) -> int | None:
    """The length of the whole object in a 206, which must begin exactly where it was asked to."""
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if match is None:
        raise _corrupt(wish, host, "a part came that does not say which")
    first, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    if first != start:
        raise _corrupt(wish, host, f"bytes from {first} came where bytes from {max(start, 0)} were asked for")
    if last < first or (total is not None and last >= total):
        raise _corrupt(wish, host, f"bytes {first} to {last} of {match[3]} make no sense")
    length = _number(headers.get("Content-Length"))
    if length is not None and length != last - first + 1:
        raise _corrupt(wish, host, f"{length} bytes are announced for bytes {first} to {last}")
    return total


def _insist_same(wish: Wish, host: str, headers: Mapping[str, str], sent: Mapping[str, str]) -> None:
    """A 206 to If-Range must carry the very ETag that was asked for (RFC 9110, 15.3.7)."""
    if "If-Range" in sent and _validator(headers) != wish.validator:
        raise _corrupt(wish, host, "the middle of another object came")


def _corrupt(wish: Wish, host: str, why: str) -> Corrupt:
    return Corrupt(name=wish.name, host=host, why=why)


def _validator(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("ETag")
    return etag if strong(etag) else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def part_of(
    wish: Wish, host: str, status: int, headers: Mapping[str, str], start: int, stop: int
) -> tuple[int, Pin | None]:
    """Where the part in an answer ends (`stop`, or sooner), and the digest of just that part, where the origin says one.

    `wish` names the ETag and the length of the whole object that were offered. Raises Corrupt when it is another's.
    """
    if status != 206:
        raise _corrupt(wish, host, f"another object came, not a part of the one that was offered ({status})")
    _insist_plain(wish, host, headers)
    total = _total(wish, host, headers, start)
    if total != wish.size or _validator(headers) != wish.validator:
        raise _corrupt(wish, host, "a part of another object came")
    end = start + _span(headers)
    if end > stop:
        raise _corrupt(wish, host, f"bytes up to {end} came where bytes up to {stop} were asked for")
    return end, content_pin(headers)


def _span(headers: Mapping[str, str]) -> int:
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    return int(match[2]) - int(match[1]) + 1 if match else 0


def content_pin(headers: Mapping[str, str]) -> Pin | None:
    """The digest of the very bytes of an answer: Content-Digest (RFC 9530, 2), or Content-MD5 (RFC 2616, 14.15)."""
    if match := _CONTENT_DIGEST.search(headers.get("Content-Digest", "")):
        return Pin(algorithms=("sha256",), hex=b64decode(match[1]).hex())
    if match := _CONTENT_MD5.fullmatch(headers.get("Content-MD5", "").strip()):
        return Pin(algorithms=("md5",), hex=b64decode(match[1]).hex())
    return None


def failure_of(name: str, host: str, status: int, headers: Mapping[str, str], moved: bool) -> ModelManagerError | None:
    """The failure that a status means, or None when there is a body to look at. 401 and 403 are for the origin to tell.

    `moved`: the answer comes from another host than the one asked, whose signed address may have expired.
    """
    if status in (200, 206, 416):
        return None
    if moved and status in _SIGNED_OUT:
        return OriginUnavailable(
            host=host, name=name, why=f"the address it redirected to is no longer valid ({status})"
        )
    if status in (404, 410):
        return NotFound(where=host, name=name)
    if status in _LATER or status >= 500:
        wait = retry_after(headers, datetime.now(UTC))
        return OriginUnavailable(host=host, name=name, why=f"it answered {status}", retry_after=wait)
    if status in (401, 403) or status < 400:
        return None
    return Refused(what=f"{host} refused '{name}' with status {status}. Check the download address in the catalog.")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, 0 to 3600, from Retry-After in either form (RFC 9110, 10.2.3). None when it says nothing sensible.

    A date counts from the answer's own Date where there is one, so that a wrong clock of ours does no harm.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:18]), LONGEST_WAIT)
    until = _date(text)
    if until is None:
        return None
    seconds = (until - (_date(headers.get("Date", "")) or now)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
