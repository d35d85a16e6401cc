"""Jobs over HTTP. Who can take one and why not is what the rules of routing say; nothing of it is decided here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

from model_manager.bus.jobs import Jobs
from model_manager.errors import BadRequest, JobOver, NoSuchJob, printable
from model_manager.facts.job import Available, Explanation, Filed, Job, Shortage, State, Submitted, Try, Verdict
from model_manager.fleet.jobs import shapes
from model_manager.fleet.jobs.mentioning import Called, called, mentions
from model_manager.fleet.jobs.submitting import Meant, Words, meant
from model_manager.serving.asking import Asked, cursor_of
from model_manager.serving.problems import Answer, bad_body, bad_parameter

Lacks = Callable[[Explanation], Awaitable[Sequence[Shortage]]]
"""What each machine of an explanation would have to fetch. Raises BusUnavailable."""

NAMED: Final = 20
"""Machines that an answer names."""

LOOKED: Final = 1_000
"""Jobs that are looked at for one answer about a model."""

EXPLAINED: Final = frozenset({"pending", "delayed", "dead"})
"""States of jobs that may still be taken."""

T = TypeVar("T")


class Desk:
    """Every method takes the parameters of its route and answers a record of `job_shapes`. Raises Answer, BusUnavailable."""

    def __init__(
        self, jobs: Jobs, lacks: Lacks, words: Words, named: Callable[[str], Called] = lambda place: called(place, ())
    ) -> None:
        """`named`: every text by which a job may mean the model at `folder/name`."""
        self._named = named
        self._jobs = jobs
        self._lacks = lacks
        self.words = words

    async def page(self, asked: Asked) -> shapes.JobPage:
        if asked["model"] is not None:
            return await self._mentioning(asked)
        first = asked["state"] == "next"
        if first and asked["cursor"] is not None:
            raise bad_parameter("cursor", "is not for the state 'next', which has one page. Ask for 'pending'.")
        state: State = "pending" if first else asked["state"]
        found, after, total = await self._paged(state, asked["cursor"] or "0", 1 if first else asked["limit"])
        if first:
            found, after = await self._jobs.next_up(asked["limit"]), "0"
        following = None if after == "0" else cursor_of(after)
        return shapes.JobPage(state=asked["state"], items=await self.rows(found), next=following, total=total)

    async def _mentioning(self, asked: Asked) -> shapes.JobPage:
        """Those that name a model, among the LOOKED jobs from the cursor on; `next` while there are more to look at."""
        state: State = "pending" if asked["state"] == "next" else asked["state"]
        words, cursor, limit = self._named(asked["model"]), asked["cursor"] or "0", asked["limit"]
        found: list[Filed] = []
        total = 0
        for _ in range(max(1, LOOKED // limit)):
            page, cursor, total = await self._paged(state, cursor, limit)
            found = [each for each in page if mentions(each.asks, words)]
            if found or cursor == "0":
                break
        following = None if cursor == "0" else cursor_of(cursor)
        return shapes.JobPage(state=asked["state"], items=await self.rows(found), next=following, total=total)

    async def _paged(self, state: State, cursor: str, limit: int) -> tuple[Sequence[Filed], str, int]:
        try:
            return await self._jobs.page(state, cursor, limit)
        except BadRequest:
            why = "is no cursor of ours. Take 'next' of the page before, or leave it out."
            raise bad_parameter("cursor", why) from None

    async def rows(self, found: Iterable[Filed]) -> tuple[shapes.JobRow, ...]:
        """Jobs that ask for the same are explained once."""
        said: dict[str, Explanation | None] = {}
        rows = []
        for filed in found:
            if filed.state in EXPLAINED and filed.signature not in said:
                said[filed.signature] = await self._said(filed.id)
            rows.append(row(filed, said.get(filed.signature) if filed.state in EXPLAINED else None))
        return tuple(rows)

    async def _said(self, identity: str) -> Explanation | None:
        """None for a job that has just gone."""
        try:
            return await self._jobs.explain(identity, limit=1)
        except NoSuchJob:
            return None

    async def filed(self, identity: str) -> Filed:
        """Raises Answer 404."""
        return await insisted(self._jobs.job(identity))

    async def explained(self, identity: str, machine: str = "") -> Explanation:
        """Raises Answer 404."""
        return await insisted(self._jobs.explain(identity, machine=machine, limit=1))

    async def one(self, asked: Asked) -> shapes.JobDetail:
        filed = await self.filed(asked["job"])
        said = await self._said(filed.id) if filed.state in EXPLAINED else None
        return shapes.JobDetail(
            job=row(filed, said),
            payload=filed.payload,
            result=filed.result,
            excluded=filed.excluded,
            tries=tuple(map(_tried, filed.tries)),
        )

    async def explain(self, asked: Asked) -> shapes.Explained:
        """By the rules that route it."""
        said = await insisted(self._jobs.explain(asked["job"], machine=asked["machine_id"] or "", limit=asked["limit"]))
        return shapes.Explained(
            eligible=said.eligible,
            pending=said.pending,
            models=models_of(said.models),
            machines=tuple(map(_verdict, said.machines)),
            lacks=tuple(map(_lack, await self._lacks(said))),
        )

    async def submit(self, body: dict[str, Any]) -> shapes.Submission:
        return await self.hand_in(await meant(body, self.words))

    async def hand_in(self, given: Meant, warnings: Sequence[str] = ()) -> shapes.Submission:
        """Asks the rules first, and then hands it in unless that was all that was wanted. Raises Answer 400."""
        job = given.job
        said = await self._asked(job)
        _, machines = await self._jobs.machines_for(
            cast(Any, job.asks), customer=job.customer, workflow=job.workflow, limit=NAMED
        )
        submitted = None if given.dry else await self._handed_in(job)
        models = submitted.models if submitted and submitted.word != "known" else said.models
        eligible = submitted.eligible if submitted and submitted.word != "known" else said.eligible
        return shapes.Submission(
            id=job.id,
            outcome="dry_run" if submitted is None else cast(Any, submitted.word),
            eligible=eligible,
            machines=machines,
            models=models_of(models, given.asked),
            why=(submitted.why if submitted else "") or waiting(said),
            policy=job.policy,
            warnings=tuple(warnings),
        )

    async def _asked(self, job: Job) -> Explanation:
        try:
            return await self._jobs.explain(
                asks=cast(Any, job.asks), customer=job.customer, workflow=job.workflow, limit=1
            )
        except BadRequest as error:
            raise bad_body(f"{printable(error.facts['why'], 500)}") from None

    async def _handed_in(self, job: Job) -> Submitted:
        try:
            return await self._jobs.submit(job)
        except BadRequest as error:
            raise bad_body(f"{printable(error.facts['why'], 500)}") from None

    async def retry(self, asked: Asked) -> shapes.JobState:
        await insisted(self._jobs.retry(asked["job"]))
        return shapes.JobState(id=asked["job"], state="pending")

    async def cancel(self, asked: Asked) -> shapes.JobState:
        await insisted(self._jobs.cancel(asked["job"]))
        return shapes.JobState(id=asked["job"], state="cancelled")

    async def many(self, state: State, at_most: int) -> list[Filed]:
        """For forms that count their pages."""
        return [each async for each in self._jobs.jobs(state, at_most=at_most)]


async def insisted(asking: Awaitable[T]) -> T:
    """Raises Answer 404 for a job that nobody knows, 409 for one that is over."""
    try:
        return await asking
    except NoSuchJob as error:
        detail = f"There is no job '{printable(error.facts['name'], 200)}'. GET /jobs lists those that are known."
        raise Answer(404, "no-such-job", detail) from None
    except JobOver as error:
        raise Answer(409, "job-over", f"The job is {error.facts['state']}. Look at it with GET /jobs/{{id}}.") from None


def row(filed: Filed, said: Explanation | None) -> shapes.JobRow:
    """`said`: how it stands with its models and machines; None where nobody asked, or it does not matter any more."""
    return shapes.JobRow(
        id=filed.id,
        state=filed.state,
        priority=filed.priority,
        attempts=filed.attempts,
        max_attempts=filed.max_attempts,
        submitted=iso(filed.submitted),
        policy=filed.policy,
        customer=filed.customer,
        workflow=filed.workflow,
        worker=filed.worker,
        machine_id=filed.machine,
        why=filed.why,
        due=iso(filed.due),
        deadline=iso(filed.deadline),
        signature=filed.signature,
        models=models_of(said.models if said else filed.models),
        eligible=said.eligible if said else filed.eligible,
        waiting=waiting(said) if said else "",
        asks=dict(filed.asks),
    )


def waiting(said: Explanation) -> str:
    """Why nobody can take it, empty when somebody can."""
    if said.eligible:
        return ""
    nobody = [each.model for each in said.models if not each.machines]
    if nobody:
        return f"no machine that takes jobs has {', '.join(nobody)}"
    if not said.machines:
        return "no machine takes jobs"
    nearest = said.machines[0]
    return f"{nearest.machine} comes nearest: {'; '.join(why for _, why in nearest.reasons)}"


def models_of(models: Iterable[Available], asked: Mapping[str, str] | None = None) -> tuple[shapes.ModelOfJob, ...]:
    """`asked`: what some of them were called by who asked."""
    names = asked or {}
    return tuple(
        shapes.ModelOfJob(
            model=names.get(each.model, each.model),
            machines=each.machines,
            available=each.machines > 0,
            without=each.without,
        )
        for each in models
    )


def iso(seconds: float | None) -> str:
    """ISO 8601 UTC, empty for no time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds else ""


def _verdict(told: Verdict) -> shapes.MachineVerdict:
    return shapes.MachineVerdict(
        machine_id=told.machine,
        seat=told.seat,
        fits=told.fits,
        live=told.live,
        reasons=tuple(shapes.Reason(rule=rule, why=why) for rule, why in told.reasons),
        missing=told.missing,
    )


def _tried(told: Try) -> shapes.JobTry:
    return shapes.JobTry(
        machine_id=told.machine,
        worker=told.worker,
        attempt=told.attempt,
        began=iso(told.began),
        ended=iso(told.ended),
        how=told.how,
        why=told.why,
    )


def _lack(told: Shortage) -> shapes.WouldTake:
    return shapes.WouldTake(
        machine_id=told.machine,
        missing=told.missing,
        bytes=told.bytes,
        unknown=told.unknown,
        seconds=told.seconds,
        others=told.others,
    )
