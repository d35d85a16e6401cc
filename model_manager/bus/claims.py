"""A worker's side of routing, and all of a submitter's: see docs/routing.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn, cast
from uuid import uuid4

from redis.asyncio import Redis

from model_manager.bus import job_answers as answers
from model_manager.bus.gathering import Gathering
from model_manager.bus.jobs import Jobs
from model_manager.errors import BadRequest, BusUnavailable, LeaseLost, NotServing
from model_manager.facts import wire
from model_manager.facts.job import Errand, Failing, Outcome, Returned, Work

LEASE: Final = 60.0
"""Seconds that a job stays a worker's own without a word from it."""

BEATS: Final = 3
"""Heartbeats of one lease."""

PARKED: Final = 30.0
"""Seconds at most before an idle worker asks again, bell or not."""

NOT_YET: Final = 1.0
SLOWEST: Final = 8.0
"""Seconds before a machine that is not known yet, or not up to date, is asked for again: at first, and at most."""

TOGETHER: Final = 8
CALLS: Final = 2
FEW: Final = 4
"""Workers of one call, calls on their way for one machine, and how many workers share one rather than two."""

RESULT: Final = 4_096
"""Bytes of a result; whose is longer is refused alone."""

ANSWER: Final = 9
"""Values for each worker in the answer of `mm_next`."""

REASON: Final = 1_000
"""Bytes of a reason; a longer one is cut."""

KEPT: Final = 86_400.0
"""Seconds that the record of a finished job is kept."""

WHY: Final = {
    "UNKNOWN": (
        "nobody said what its workers can do",
        "Offer them first, or set MODEL_MANAGER_SERVICES for its agent.",
    ),
    "AWAY": (
        "its agent does not beat",
        "Start it ('model-manager run'), or offer the workers for a time of their own.",
    ),
    "STALE": (
        "its inventory is just being told",
        "Ask again: its agent sends what is missing with its next heartbeat.",
    ),
}

Seat = tuple[str, str, str]
"""Machine, worker, seat."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What was said of a machine's workers, so that it can be said again."""

    machine: str
    seat: str
    said: bytes
    lasts: float


class Claims(Jobs):
    """Raises BusUnavailable from every method when Redis could not be used for `patience` seconds. None from `claim` means that
    it was asked and there is no job. A claim whose answer was lost is asked again with its token, and gives the same job."""

    def __init__(self, redis: Redis, prefix: str = "", *, patience: float = 10.0) -> None:
        super().__init__(redis, prefix, patience=patience)
        self._unanswered: dict[Seat, str] = {}
        self._asking: set[Seat] = set()
        self._offers: dict[tuple[str, str], Offered] = {}
        self._desks: dict[tuple[str, str, float], Gathering[Sequence[str], list[str]]] = {}

    async def offer(self, machine: str, said: Mapping[str, Any], *, seat: str = "", lasts: float = 0.0) -> None:
        """What workers on this machine can do, as docs/routing.md has it: services, hardware, capabilities.

        `seat` "" is every worker that has no seat of its own; an agent's offer is for that one. `lasts`: seconds that it is good
        for, 0 = as long as the machine's agent lives. Raises BadRequest.
        """
        offered = Offered(machine, seat, wire.dumps(said), lasts)
        await self._offer(offered)
        self._offers[machine, seat] = offered

    async def withdraw(self, machine: str, *, seat: str = "") -> None:
        """These workers take no more jobs; those that they have stay theirs."""
        self._offers.pop((machine, seat), None)
        await self._offer(Offered(machine, seat, b"", 0.0))

    async def claim(
        self,
        machine: str,
        worker: str,
        *,
        wait: float = 0.0,
        lease: float = LEASE,
        seat: str = "",
        hot: Sequence[str] = (),
        bonus: float = 20.0,
    ) -> Work | None:
        """The best job that this machine can do now; None: asked, and none within `wait` seconds.

        `hot` are signatures (at most 8) whose models are loaded here: the best job of one goes first if it was submitted at most
        `bonus` seconds (0 to 120) after the best of all. Raises NotServing when the machine gets no jobs at all; while there is
        time to wait, that is waited for too.
        """
        _, found = await self._claim(_Asked(machine, worker, seat, lease, tuple(hot), bonus), wait, None)
        return found

    async def next(self, work: Work, result: str = "", *, wait: float = 0.0, **how: Any) -> tuple[Outcome, Work | None]:
        """Completes a job and claims another one, in one round trip. `how` is as for `claim`. Workers of one machine that end
        jobs about now share the round trip, unless they name hot signatures."""
        asked = _Asked(work.machine, work.worker, **{"lease": work.lease, **how})
        return await self._claim(asked, wait, (work, result))

    @asynccontextmanager
    async def held(self, work: Work) -> AsyncIterator[Work]:
        """Extends the lease while the block runs. When the job is not ours any more, or Redis was away for a whole lease, what
        runs in the block is cancelled, and LeaseLost raised."""
        scope, failure = asyncio.timeout(None), None
        keeping = _Keeping(self, work, scope)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(keeping.run(), name=f"lease of {work.job}")
            try:
                async with scope:
                    yield work
            except Exception as error:  # to be raised as it is, and not as a group
                failure = error
            finally:
                task.cancel()
        if keeping.lost and isinstance(failure, TimeoutError):
            raise LeaseLost(name=work.job, why=keeping.lost) from None
        if failure is not None:
            raise failure

    async def extend(self, work: Work, lease: float | None = None) -> float:
        """A heartbeat: when the lease ends now, in seconds of the server's clock. Raises LeaseLost."""
        word, rest = await self._ask("mm_extend", work.job, work.token, _ms(lease or work.lease))
        if word != "OK":
            raise LeaseLost(name=work.job, why=lost(word))
        return int(rest[0]) / 1000

    async def complete(self, work: Work, result: str = "", *, keep: float = KEPT) -> Outcome:
        """It counts once: `repeat` when it had counted before. `result` is at most 4,096 bytes and kept for `keep` seconds."""
        word, _ = await self._ask("mm_complete", work.job, work.token, result, _ms(keep))
        return _outcome(word)

    async def fail(self, work: Work, reason: str, *, how: Failing = "retry", backoff: float = 5.0) -> Returned:
        """Gives a job back, and says why. `backoff`: seconds before the second attempt, doubled for each further one."""
        word, rest = await self._ask("mm_fail", work.job, work.token, how, _cut(reason), _ms(backoff))
        return answers.returned(word, rest)

    async def errands(self, machine: str, *, hold: float, limit: int = 20) -> tuple[Errand, ...]:
        """Models that this machine should fetch for jobs of the policy fetch. It alone is asked, for `hold` seconds."""
        keys = self.keys.routing, self.keys.lease(machine)
        word, rest = await self._patience.call("mm_demand", keys, (machine, _ms(hold), str(limit)))
        if word != "OK":
            return ()
        return tuple(answers.errand(*pair) for pair in zip(rest[::2], rest[1::2], strict=True))

    async def _offer(self, offered: Offered) -> None:
        keys = self.keys.routing, self.keys.lease(offered.machine)
        values = offered.machine, offered.seat, _ms(offered.lasts), offered.said
        _, rest = await self._patience.call("mm_offer", keys, values)
        if rest[1:] == ["1"]:
            await self.settle()

    async def _claim(
        self, asked: _Asked, wait: float, finished: tuple[Work, str] | None
    ) -> tuple[Outcome, Work | None]:
        if asked.at in self._asking:
            raise BadRequest(
                why=f"worker '{asked.worker}' is asking already", fix="Give each worker a name of its own."
            )
        self._asking.add(asked.at)
        try:
            return await self._asked(asked, wait, finished)
        finally:
            self._asking.discard(asked.at)

    async def _asked(
        self, asked: _Asked, wait: float, finished: tuple[Work, str] | None
    ) -> tuple[Outcome, Work | None]:
        loop = asyncio.get_running_loop()
        until, token = loop.time() + wait, self._token(asked.at)
        outcome: Outcome = "done"
        pause = NOT_YET
        while True:
            left = max(0.0, until - loop.time())
            word, rest = await self._once(asked, token, min(left, PARKED), finished)
            if finished is not None:
                outcome, finished = _outcome(rest[-1] if word in ("JOB", "EMPTY") else rest[0]), None
            if word == "EMPTY" and rest[2] == "1":
                await self.settle()
                continue
            if word == "JOB":
                del self._unanswered[asked.at]
                work = answers.work(rest, machine=asked.machine, worker=asked.worker, token=token, lease=asked.lease)
                return outcome, work
            left = until - loop.time()
            if left <= 0:
                del self._unanswered[asked.at]
                if word != "EMPTY":
                    self._refuse(asked, word)
                return outcome, None
            if word == "EMPTY":
                await self._listen(rest[0], min(left, int(rest[1]) / 1000))
                continue
            await self._again(asked, word, min(left, pause))
            pause = min(SLOWEST, 2 * pause)

    async def _once(
        self, asked: _Asked, token: str, park: float, finished: tuple[Work, str] | None
    ) -> tuple[str, list[str]]:
        if finished is not None and not asked.hot and len(finished[1].encode("utf-8", "surrogateescape")) <= RESULT:
            return await self._together(asked, token, finished)
        work, result = finished or (None, "")
        done = (work.job, work.token, result) if work else ("", "", "")
        keys = self.keys.routing, self.keys.lease(asked.machine), self.keys.models(asked.machine)
        how = _ms(asked.lease), _ms(park), _ms(asked.bonus)
        values = (asked.machine, asked.worker, asked.seat, token, *how, *done, str(len(asked.hot)), *asked.hot)
        word, rest = await self._patience.call("mm_claim", keys, values)
        if word not in ("JOB", "EMPTY", *WHY):
            raise answers.strange(word)
        return word, rest

    async def _together(self, asked: _Asked, token: str, finished: tuple[Work, str]) -> tuple[str, list[str]]:
        """One of the workers here that end a job about now: they ask in one call. What it says is as if it had asked alone."""
        of = asked.machine, asked.seat, asked.lease
        desk = self._desks.get(of)
        if desk is None:
            desk = self._desks[of] = Gathering(partial(self._several, asked), most=TOGETHER, calls=CALLS, few=FEW)
        work, result = finished
        word, *rest = await desk.asked((asked.worker, token, work.job, work.token, result))
        if word == "JOB" or word in WHY:
            return word, rest
        if word not in ("EMPTY", "AGAIN"):
            raise answers.strange(word)
        return "EMPTY", ["", "0", "1" if word == "AGAIN" else "0", rest[-1]]

    async def _several(self, asked: _Asked, questions: Sequence[Sequence[str]]) -> list[list[str]]:
        keys = self.keys.routing, self.keys.lease(asked.machine), self.keys.models(asked.machine)
        values = [asked.machine, asked.seat, _ms(asked.lease), str(len(questions))]
        for question in questions:
            values += question
        word, rest = await self._patience.call("mm_next", keys, values)
        if word != "OK":
            return [[word, finished] for finished in rest]
        return [rest[first : first + ANSWER] for first in range(0, len(rest), ANSWER)]

    def _token(self, at: Seat) -> str:
        """The one whose answer was lost, else a new one."""
        return self._unanswered.setdefault(at, uuid4().hex)

    async def _listen(self, bell: str, seconds: float) -> None:
        """Until there may be something. A server that goes away meanwhile is no reason to stop waiting: the next question
        finds out."""
        if not bell:
            await asyncio.sleep(seconds)
            return
        try:
            await self._patience.rings(bell, seconds)
        except BusUnavailable:
            await asyncio.sleep(min(seconds, NOT_YET))

    async def _again(self, asked: _Asked, word: str, seconds: float) -> None:
        """A server that forgot what this process offered is told again."""
        offered = self._offers.get((asked.machine, asked.seat))
        if offered and word != "STALE":
            await self._offer(offered)
        await asyncio.sleep(seconds)

    def _refuse(self, asked: _Asked, word: str) -> NoReturn:
        why, fix = WHY[word]
        raise NotServing(machine=asked.machine, why=why, fix=fix)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who asks for a job, and how."""

    machine: str
    worker: str
    seat: str = ""
    lease: float = LEASE
    hot: tuple[str, ...] = ()
    bonus: float = 20.0

    @property
    def at(self) -> Seat:
        return self.machine, self.worker, self.seat


class _Keeping:
    """The heartbeat of one job. It ends `scope` when the job is lost, and says why."""

    def __init__(self, claims: Claims, work: Work, scope: asyncio.Timeout) -> None:
        self._claims = claims
        self._work = work
        self._scope = scope
        self.lost = ""

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._work.lease
        while not self.lost:
            await asyncio.sleep(self._work.lease / BEATS)
            asked_at = loop.time()
            if await self._extended(until):
                until = asked_at + self._work.lease
        self._scope.reschedule(loop.time())

    async def _extended(self, until: float) -> bool:
        try:
            async with asyncio.timeout_at(until):
                await self._claims.extend(self._work)
        except LeaseLost as error:
            self.lost = str(error.facts["why"])
        except (BusUnavailable, TimeoutError) as error:
            if asyncio.get_running_loop().time() < until:
                return False
            self.lost = f"Redis was away for a whole lease ({error or 'it did not answer'})"
        else:
            return True
        return False


def lost(word: str) -> str:
    """Why a job is not a worker's own any more."""
    said = {
        "STALE": "its lease ended and it was given back",
        "CANCELLED": "it was cancelled",
        "GONE": "nobody knows it",
    }
    if word not in said:
        raise answers.strange(word)
    return said[word]


def _outcome(word: str) -> Outcome:
    said = word.lower()
    if said not in ("done", "repeat", "stale", "cancelled", "gone"):
        raise answers.strange(word)
    return cast(Outcome, said)


def _cut(reason: str) -> str:
    sent = reason.encode("utf-8", "surrogateescape")
    return reason if len(sent) <= REASON else sent[:REASON].decode("utf-8", "ignore")


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
