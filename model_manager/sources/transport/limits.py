"""How much downloads take of the network: bytes a second, connections at once, requests a minute."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from model_manager.facts.quota import Quota, Quotas

BURST_SECONDS: Final = 0.25
"""So much of its rate may be taken at once by those who come after a calm."""
PULSE: Final = 1 / 64
"""Seconds of the rate that one connection is given at a time: sixteen connections take turns four times a second."""
LEAST: Final = 1024
"""Bytes that are given at a time however low the rate is: smaller pieces cost more than they spread."""
BURST_REQUESTS: Final = 10


class _Bucket:
    """Tokens that come in at `rate` a second, `burst` of them at most.

    More may be taken than there are: whoever takes waits until the debt that it left behind is paid. As every taker pays
    for those before it, all of them get the same share, in the order in which they came, and nobody keeps a list.
    """

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst, self._level, self._at = rate, burst, burst, now

    def adopt(self, rate: float, burst: float, now: float) -> None:
        """Another rate from now on; what was owed at the old one is forgiven."""
        self._fill(now)
        self._rate, self._burst, self._level = rate, burst, min(burst, max(0.0, self._level))

    def portion(self) -> int:
        return max(LEAST, int(self._rate * PULSE))

    def take(self, amount: float, now: float) -> float:
        """Seconds until the debt is paid."""
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self._rate)

    def lacks(self, amount: float, now: float) -> float:
        """Seconds until there is so much without a debt."""
        self._fill(now)
        return max(0.0, (amount - self._level) / self._rate)

    def _fill(self, now: float) -> None:
        self._level = min(self._burst, self._level + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)


def _flow(rate: int) -> tuple[float, float]:
    return float(rate), rate * BURST_SECONDS


def _budget(per_minute: int) -> tuple[float, float]:
    """A burst and what follows it are within the budget together, whichever minute is looked at."""
    burst = min(BURST_REQUESTS, max(1, per_minute // 2))
    return max(1, per_minute - burst) / 60, float(burst)


class _Buckets:
    """One bucket for all hosts and one for each, where a quota asks for it. `shape` makes (rate, burst) of a quota."""

    def __init__(self, quota: Quota, shape: Callable[[int], tuple[float, float]]) -> None:
        self._quota, self._shape = quota, shape
        self._kept: dict[str | None, _Bucket] = {}
        self.limited = _limits_anything(quota)

    def adopt(self, quota: Quota, now: float) -> None:
        old, self._quota = self._quota, quota
        self.limited = _limits_anything(quota)
        for host, bucket in list(self._kept.items()):
            before, after = _quota_of(old, host), _quota_of(quota, host)
            if after is None:
                del self._kept[host]
            elif after != before:
                bucket.adopt(*self._shape(after), now)

    def of(self, host: str, now: float) -> list[_Bucket]:
        """The buckets that count for the host: its own, and that of all together."""
        return [bucket for key in (host.lower(), None) if (bucket := self._bucket(key, now)) is not None]

    def _bucket(self, host: str | None, now: float) -> _Bucket | None:
        if host not in self._kept and (limit := _quota_of(self._quota, host)) is not None:
            self._kept[host] = _Bucket(*self._shape(limit), now)
        return self._kept.get(host)


def _quota_of(quota: Quota, host: str | None) -> int | None:
    return quota.total if host is None else quota.of(host)


def _limits_anything(quota: Quota) -> bool:
    return any(limit is not None for limit in (quota.total, quota.each, *quota.hosts.values()))


class _Slots:
    """Connections at once. Who waits is let in by the order of coming, past those whose own host is full."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self._used: Counter[str] = Counter()
        self._line: deque[tuple[str, asyncio.Future[None]]] = deque()

    async def enter(self, host: str) -> None:
        place = (host, asyncio.get_running_loop().create_future())
        self._line.append(place)
        self.admit()
        try:
            await place[1]
        except asyncio.CancelledError:
            if place in self._line:
                self._line.remove(place)
            else:
                self.leave(host)
            raise

    def leave(self, host: str) -> None:
        self._used[host] -= 1
        if not self._used[host]:
            del self._used[host]
        self.admit()

    def admit(self) -> None:
        """Everybody for whom there is room now."""
        for place in list(self._line):
            host, future = place
            if not _below(self._used.total(), self.quota.total):
                return
            if not future.done() and _below(self._used[host], self.quota.of(host)):
                self._line.remove(place)
                self._used[host] += 1
                future.set_result(None)


def _below(used: int, limit: int | None) -> bool:
    return limit is None or used < limit


class Limits:
    """What downloads may take, shared by all of them.

    `grant` and `spent` may be called from any thread; everything else belongs to the thread of one event loop.
    """

    def __init__(self, quotas: Quotas, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds and never goes back."""
        self._quotas = quotas
        self._clock = clock
        self._lock = threading.Lock()
        self._bytes = _Buckets(quotas.rate, _flow)
        self._requests = _Buckets(quotas.requests, _budget)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._slots = _Slots(quotas.connections)
        self.edition = 0
        """Grows when the quotas change: waits that were told before it are out of date."""

    @property
    def quotas(self) -> Quotas:
        return self._quotas

    @quotas.setter
    def quotas(self, quotas: Quotas) -> None:
        """Adopted at once, also by those who wait. Connections above a smaller quota are not cut off: they run out."""
        with self._lock:
            now = self._clock()
            self._quotas = quotas
            self._bytes.adopt(quotas.rate, now)
            self._requests.adopt(quotas.requests, now)
            self.edition += 1
        self._changed.set()
        self._changed = asyncio.Event()
        self._slots.quota = quotas.connections
        self._slots.admit()

    @property
    def counts_bytes(self) -> bool:
        """Whether bytes a second are limited at all. May be asked from any thread."""
        return self._bytes.limited

    def grant(self, host: str, want: int) -> int:
        """How many of `want` bytes may be received in one go, at least one; tell `spent` how many it were."""
        if not self._bytes.limited:
            return want
        with self._lock:
            return min([want, *(bucket.portion() for bucket in self._bytes.of(host, self._clock()))])

    def spent(self, host: str, size: int) -> float:
        """So many bytes came. Seconds until the same connection may receive again.

        Zero bytes is what a connection says that begins: when others have a debt to pay, it waits for it once.
        """
        if not self._bytes.limited:
            return 0.0
        with self._lock:
            now = self._clock()
            return max((bucket.take(size, now) for bucket in self._bytes.of(host, now)), default=0.0)

    async def spend(self, host: str, size: int) -> None:
        """`spent`, for those who wait on the event loop."""
        edition, due = self.edition, self._clock() + self.spent(host, size)
        while (rest := due - self._clock()) > 0 and self.edition == edition:
            await self._pause(rest)

    async def request(self, host: str) -> None:
        """Wait until one more request is within the budget of its minute: a burst, then evenly, first come, first served."""
        async with self._turns[host.lower()]:
            await self._affordable(host.lower())
            async with self._turn:
                await self._affordable(host.lower())
                with self._lock:
                    now = self._clock()
                    for bucket in self._requests.of(host, now):
                        bucket.take(1, now)

    async def _affordable(self, host: str) -> None:
        while (wait := self._request_in(host)) > 0:
            await self._pause(wait)

    async def _pause(self, seconds: float) -> None:
        """Or until there are other quotas."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _request_in(self, host: str) -> float:
        with self._lock:
            now = self._clock()
            return max((bucket.lacks(1, now) for bucket in self._requests.of(host, now)), default=0.0)

    @asynccontextmanager
    async def connection(self, host: str) -> AsyncIterator[None]:
        """One of the connections that the host, and all hosts together, may have at once; waits for it."""
        await self._slots.enter(host.lower())
        try:
            yield
        finally:
            self._slots.leave(host.lower())
