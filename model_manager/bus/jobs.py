"""A submitter's side of routing: jobs go in, are asked about, taken back or tried again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus import job_answers as answers
from model_manager.bus.connection import translate
from model_manager.bus.functions import Argument
from model_manager.bus.keys import Keys
from model_manager.bus.patience import FIX, Patience
from model_manager.errors import BadRequest, JobOver, NoSuchJob
from model_manager.facts.job import Asks, Available, Explanation, Filed, Job, Reaped, State, Submitted, Verdict, asked

PER_CALL: Final = 25
"""Jobs of one call, as many as it does in its time, and 1 MiB of them or one large one: the function takes 50 and 1.25."""

AGAIN: Final = "AGAIN"
"""Of a job that was not read, for those before it took long; all behind it have this answer, too."""

QUEUED: Final = "QUEUED"
KNOWN: Final = "KNOWN"
ANSWER: Final = 4
"""Values of an answer: a word, how many machines can do it, its signature, where its models are."""

BYTES_PER_CALL: Final = 1024 * 1024

Fields = tuple[Argument, ...]
"""A job, as mm_submit takes it."""

PAGE: Final = 100


class Jobs:
    """Every method may be repeated when its answer was lost: it does nothing twice. While Redis is away, loading, busy with a
    script or a read-only replica, a call is repeated for `patience` seconds; then it raises BusUnavailable."""

    def __init__(self, redis: Redis, prefix: str = "", *, patience: float = 10.0) -> None:
        self.keys = Keys(prefix)
        self._redis = redis
        self._patience = Patience(redis, patience)

    async def submit(self, job: Job) -> Submitted:
        """Hands in one job. Its answer says how many machines can take it, and where its models are. Raises BadRequest when it
        cannot be meant so."""
        (answer,) = await self.submit_all([job])
        if answer.word == "bad":
            raise BadRequest(why=f"job '{job.id}': {answer.why}", fix=FIX)
        return answer

    async def submit_all(self, jobs: Iterable[Job]) -> tuple[Submitted, ...]:
        """Many at once; a job that cannot be meant so has the word `bad`, and keeps no other from being taken."""
        given = [_fields(job) for job in jobs]
        told: list[Submitted] = []
        for batch in _batches(each for each in given if not isinstance(each, Submitted)):
            while batch:
                some = await self._hand_in(batch)
                told += some
                batch = batch[len(some) :]
        answered = iter(told)
        return tuple(each if isinstance(each, Submitted) else next(answered) for each in given)

    async def _hand_in(self, batch: Sequence[Fields]) -> list[Submitted]:
        """The answers to one job at least; those behind them were too much for one call."""
        more, told = await self._submitted(batch)
        if more:
            await self.settle()
            await self._know_better(batch, told)
        return [
            answers.submitted(str(fields[0]), *each)
            for fields, each in zip(batch, told, strict=True)
            if each[0] != AGAIN
        ]

    async def _submitted(self, batch: Sequence[Fields]) -> tuple[bool, list[list[str]]]:
        """Whether indexing goes on, and what is said of each."""
        _, (more, *rest) = await self._ask("mm_submit", str(len(batch)), *chain.from_iterable(batch))
        return more == "1", [rest[first : first + ANSWER] for first in range(0, len(rest), ANSWER)]

    async def _know_better(self, batch: Sequence[Fields], told: list[list[str]]) -> None:
        """Who can do a job that asks for something new is known when that is indexed: those are asked about again."""
        unclear = [n for n, (word, eligible, *_) in enumerate(told) if word == QUEUED and eligible == "0"]
        if not unclear:
            return
        _, again = await self._submitted([batch[n] for n in unclear])
        for n, (word, *answer) in zip(unclear, again, strict=True):
            if word in (KNOWN, QUEUED):
                told[n] = [QUEUED, *answer]

    async def job(self, id: str) -> Filed:
        """One job, with where its models are. Raises NoSuchJob."""
        word, rest = await self._ask("mm_job", id)
        if word == "GONE":
            raise _none(id)
        return answers.read(rest[0], answers.filed, rest[1])

    async def next_up(self, limit: int = PAGE) -> tuple[Filed, ...]:
        """The first `limit` (1 to 100) pending jobs in the order of claiming."""
        found: dict[str, Filed] = {}
        cursor = "0"
        while True:
            _, rest = await self._ask("mm_jobs", "next", cursor, str(limit - int(cursor)))
            for each in answers.jobs_of(rest):
                found.setdefault(each.id, each)
            cursor = rest[0]
            if not 0 < int(cursor) < limit:
                return tuple(found.values())

    async def page(self, state: State, cursor: str = "0", limit: int = PAGE) -> tuple[tuple[Filed, ...], str, int]:
        """One page (1 to 100) of `jobs`, shorter where jobs are large, the cursor of the next ("0" at the end), and how many jobs are
        in that state. Raises BadRequest for a cursor that is none."""
        _, rest = await self._ask("mm_jobs", state, cursor, str(limit))
        return answers.jobs_of(rest), rest[0], int(rest[1])

    async def jobs(self, state: State, *, at_most: int | None = None) -> AsyncIterator[Filed]:
        """All jobs in a state: pending ones in no order but with those that ask for the same together, and with those that are done the
        cancelled ones. Jobs that come or go meanwhile may be missed."""
        cursor, left = "0", at_most
        while left is None or left > 0:
            limit = PAGE if left is None else min(PAGE, left)
            found, cursor, _ = await self.page(state, cursor, limit)
            for each in found:
                yield each
            left = None if left is None else left - len(found)
            if cursor == "0":
                return

    async def cancel(self, id: str) -> None:
        """A worker that has it hears it at its next heartbeat. Raises NoSuchJob, JobOver when it is done or dead."""
        self._insist(id, *await self._ask("mm_cancel", id))

    async def retry(self, id: str) -> None:
        """From the dead letter, cancelled or delayed to pending; its attempts begin anew. Raises NoSuchJob, JobOver."""
        self._insist(id, *await self._ask("mm_retry", id))

    async def explain(
        self,
        job: str = "",
        *,
        asks: Asks | Mapping[str, Any] | None = None,
        customer: str = "",
        workflow: str = "",
        machine: str = "",
        limit: int = 10,
    ) -> Explanation:
        """Why a job, or what a job would ask, is taken by which machines and not by others: by the rules that route it.

        `machine`: this one alone; without it the `limit` machines (1 to 50) that come nearest. A machine
        that never offered anything is in no explanation. Raises NoSuchJob, BadRequest.
        """
        requirement: Argument = b"" if asks is None else asked(asks)
        about = job, requirement, customer, workflow, machine
        word, rest = await self._ask("mm_explain", *about, str(limit), "1", "1")
        if word == "GONE":
            raise _none(job)
        if word == "UNKNOWN":
            return Explanation(eligible=0, pending=0, models=(), machines=())
        found = answers.read(rest[0], answers.explanation)
        machines = found.machines + await self._other_machines(about, rest[2], limit - len(found.machines))
        found = replace(found, models=found.models + await self._other_models(about, rest[1]), machines=machines)
        if not machine:
            return found
        live = await self._lives(machine)
        return replace(found, machines=tuple(replace(each, live=live) for each in found.machines))

    async def _other_models(self, about: tuple[Argument, ...], first: str) -> tuple[Available, ...]:
        """From the one on that the call before did not come to. No more of them once the job is gone."""
        found: tuple[Available, ...] = ()
        while first != "0":
            word, rest = await self._ask("mm_explain", *about, "0", first, "1")
            if word != "OK":
                return found
            found += answers.read(rest[0], lambda told: answers.available(told.get("models")))
            first = rest[1]
        return found

    async def _other_machines(self, about: tuple[Argument, ...], first: str, limit: int) -> tuple[Verdict, ...]:
        """The same for machines, at most `limit`."""
        found: tuple[Verdict, ...] = ()
        while first != "0" and len(found) < limit:
            word, rest = await self._ask("mm_explain", *about, str(limit - len(found)), "0", first)
            if word != "OK":
                return found
            found += answers.read(rest[0], lambda told: answers.verdicts(told.get("machines")))
            first = rest[2]
        return found

    async def _lives(self, machine: str) -> bool:
        """Read by itself: who may call a function with a key needs the right to write it."""
        with translate():
            return bool(await self._redis.exists(self.keys.lease(machine)))

    async def machines_for(
        self, asks: Asks | Mapping[str, Any], *, customer: str = "", workflow: str = "", limit: int = 100
    ) -> tuple[int, tuple[str, ...]]:
        """How many machines can take such a job as of now, and up to `limit` (0 to 1,000) of them."""
        _, (count, *machines) = await self._ask("mm_machines_for", asked(asks), customer, workflow, str(limit))
        return int(count), tuple(machines)

    async def reap(self, limit: int = 100) -> Reaped:
        """Gives back up to `limit` jobs (1 to 500) whose lease ended, and wakes who can take them. Agents and claims do so in
        small doses; a submitter that is alone may, too."""
        _, (requeued, dead, promoted, rung, more) = await self._ask("mm_reap", str(limit))
        return Reaped(requeued=int(requeued), dead=int(dead), promoted=int(promoted), rung=int(rung), more=more == "1")

    async def settle(self) -> None:
        """Goes on with the indexing of new requirements until nothing is left of it. Claims do the same bit by bit."""
        while (await self._ask("mm_settle", "500"))[1][0] == "1":
            continue

    async def take_in(self, limit: int = 100, *, only_eligible: bool = False) -> tuple[int, int, int]:
        """Takes over up to `limit` (1 to 100) jobs that others put into `jobs:pending`. (taken, refused as unreadable, left)"""
        mode = "eligible" if only_eligible else "all"
        _, (taken, bad, left) = await self._patience.call(
            "mm_take_in", (self.keys.routing, self.keys.pending), (str(limit), mode)
        )
        return int(taken), int(bad), int(left)

    async def tune(self, *, priority_seconds: float) -> None:
        """What one point of priority is worth in waiting, 0.001 to 3,600 seconds, for jobs that are handed in from now on."""
        await self._ask("mm_tune", "priority_ms", str(round(priority_seconds * 1000)))

    async def _ask(self, name: str, *values: Argument) -> tuple[str, list[str]]:
        return await self._patience.call(name, (self.keys.routing,), values)

    def _insist(self, id: str, word: str, rest: Sequence[str]) -> None:
        if word == "GONE":
            raise _none(id)
        if word == "OVER":
            raise JobOver(name=id, state=rest[0])


def _none(id: str) -> NoSuchJob:
    return NoSuchJob(where="the queue", name=id)


def _batches(jobs: Iterable[Fields]) -> Iterable[list[Fields]]:
    batch: list[Fields] = []
    size = 0
    for fields in jobs:
        bytes_ = sum(map(len, fields))
        if batch and (len(batch) == PER_CALL or size + bytes_ > BYTES_PER_CALL):
            yield batch
            batch, size = [], 0
        batch.append(fields)
        size += bytes_
    if batch:
        yield batch


def _fields(job: Job) -> Fields | Submitted:
    """Its values as the function takes them, or why it cannot be meant so."""
    numbers = str(job.priority), str(job.max_attempts)
    try:
        asks = job.asked()
    except BadRequest as error:
        return Submitted(id=job.id, word="bad", why=f"what it asks cannot be read: {error.facts['why']}")
    return job.id, numbers[0], asks, job.customer, job.workflow, job.payload, numbers[1], job.policy
