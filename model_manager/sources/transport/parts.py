"""Further ranges of an object whose beginning was offered, each asked for at the very address that offered it."""

from __future__ import annotations

from functools import partial
from typing import Final

from yarl import URL

from model_manager.errors import Corrupt, OriginUnavailable, Refused
from model_manager.facts.identity import Pin
from model_manager.facts.transfer import Offer
from model_manager.sources.answering import Wish, failure_of, part_of
from model_manager.sources.origin import Parts, Sink, Stream, strong
from model_manager.sources.transport.web import Answer, Web

ENOUGH: Final = 600_000_000
ENOUGH_TLS: Final = 450_000_000
"""See Parts.enough. The disk, the hash or the processor takes no more; TLS is decrypted by one thread."""

_GONE: Final = frozenset({400, 401, 403, 404, 410})


def parts_of(web: Web, name: str, answer: Answer, offer: Offer) -> Parts | None:
    """None where a range could not be proven to be of the same object, or where the server gives none."""
    etag, asked = answer.headers.get("ETag"), "Range" in answer.sent
    if not web.direct or offer.size is None or etag is None or not strong(etag):
        return None
    if answer.status != (206 if asked else 200) or answer.headers.get("Accept-Ranges", "").strip().lower() == "none":
        return None
    if answer.url.origin() in web.whole_only:
        return None
    return HttpParts(web, Wish(name=name, validator=etag, size=offer.size), answer.url, answer.moved)


class HttpParts:
    """Ranges of the object with this ETag at this address. `moved`: the address came from a redirect and may expire."""

    def __init__(self, web: Web, wish: Wish, url: URL, moved: bool) -> None:
        self._web = web
        self._wish = wish
        self._url = url
        self._moved = moved
        self.host = url.host or ""
        self.enough: float = ENOUGH_TLS if url.scheme == "https" else ENOUGH

    async def pour(self, start: int, stop: int, sink: Sink) -> None:
        """Bytes `start` to `stop` (exclusive). A sink with a method `promise(pin)` is told the digest of the range first."""
        headers = {
            "Range": f"bytes={start}-{stop - 1}",
            "If-Range": self._wish.validator or "",
            "Want-Content-Digest": "sha-256=1",
        }
        async with self._web.once(self._wish.name, self._url, headers) as answer:
            self._insist_there(answer)
            end, pin = part_of(self._wish, self.host, answer.status, answer.headers, start, stop)
            if pin and end == stop:
                _promise(sink, pin)
            await self._stream(answer, start, stop).pour(sink)

    def _stream(self, answer: Answer, start: int, stop: int) -> Stream:
        name = self._wish.name
        offer = Offer(size=stop, validator=self._wish.validator, promise=None, start=start, host=self.host)
        pouring = None if answer.size is None else partial(poured, name, answer, start, stop)
        return Stream(name, offer, answer.chunks(), pouring=pouring)

    def _insist_there(self, answer: Answer) -> None:
        """Raises OriginUnavailable for every answer after which the source itself has to be asked again."""
        status, why = answer.status, None
        if 300 <= status < 400:
            why = f"it redirects now ({status})"
        elif status in _GONE and self._moved:
            why = f"the address it redirected to is no longer valid ({status})"
        elif status in _GONE:
            why = f"it does not give it any more ({status})"
        elif status == 200 and answer.headers.get("ETag") == self._wish.validator:
            self._web.whole_only.add(self._url.origin())
            why = "it gives the whole where a part was asked for"
        if why is None and (error := failure_of(self._wish.name, self.host, status, answer.headers, self._moved)):
            if not isinstance(error, Refused):
                raise error
            why = f"it refused a part ({status})"
        if why:
            raise OriginUnavailable(host=self.host, name=self._wish.name, why=why)


def _promise(sink: Sink, pin: Pin) -> None:
    """Not every sink judges parts by themselves."""
    if promise := getattr(sink, "promise", None):
        promise(pin)


async def poured(name: str, answer: Answer, start: int, stop: int | None, sink: Sink) -> None:
    """The body of an answer, which is bytes `start` to `stop` of the object, into the sink. Raises as `Stream.pour`.

    A server may send less than it was asked for: unless the sink has enough, that is a break like any other.
    """
    end = start + (answer.size or 0)
    if stop is not None and end > stop:
        raise Corrupt(name=name, host=answer.host, why=f"more than its {stop} bytes came")
    size = await answer.pour(sink, start)
    if stop is not None and start + size == end < stop and not _full(sink):
        raise OriginUnavailable(host=answer.host, name=name, why=f"it ended at byte {end} of {stop}")


def _full(sink: Sink) -> bool:
    room = sink.room()
    return room is not None and not room
