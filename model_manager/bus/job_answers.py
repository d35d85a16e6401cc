"""What the functions of routing answer, as records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from model_manager.errors import BadRecord, BusUnavailable
from model_manager.facts import wire
from model_manager.facts.job import Available, Errand, Explanation, Filed, Returned, Submitted, Try, Verdict, Work

Read = TypeVar("Read")


def strange(word: str) -> BusUnavailable:
    """For an answer that no release up to this one gives."""
    return BusUnavailable(why=f"its function answered '{word}', which this release does not know")


def body(text: str) -> Any:
    """JSON of an answer; text of strangers in it may be no UTF-8, and is then shown with replacements."""
    return wire.loads(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), "answer")


def read(text: str, how: Callable[..., Read], *more: str) -> Read:
    """Raises BusUnavailable when the answer is of another shape than this release knows."""
    try:
        return how(body(text), *more)
    except (BadRecord, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BusUnavailable(
            why=f"its function answered in an unknown shape ({type(error).__name__}: {error})"
        ) from None


def submitted(id: str, word: str, eligible: str, signature: str, text: str) -> Submitted:
    said = word.lower()
    if said not in ("queued", "known", "rejected", "bad"):
        raise strange(word)

    def found(told: Mapping[str, Any]) -> Submitted:
        return Submitted(
            id=id,
            word=cast(Any, said),
            eligible=int(eligible or 0),
            signature=signature,
            models=available(told.get("models")),
            why=str(told.get("why") or ""),
        )

    return read(text or "{}", found)


def available(told: Any) -> tuple[Available, ...]:
    """Lua writes an empty list as {}."""
    return tuple(
        Available(model=named(each["model"]), machines=int(each["machines"]), without=each.get("without"))
        for each in told or ()
    )


def named(model: Any) -> str:
    """A model as the job names it; an object keeps its JSON."""
    return model if isinstance(model, str) else wire.dumps(model).decode()


def work(rest: Sequence[str], *, machine: str, worker: str, token: str, lease: float) -> Work:
    """Of JOB: id signature payload attempt deadline requirement priority."""
    job, signature, payload, attempt, deadline, requirement, priority = rest[:7]
    return Work(
        job=job,
        machine=machine,
        worker=worker,
        token=token,
        signature=signature,
        payload=payload.encode("utf-8", "surrogateescape"),
        attempt=int(attempt),
        deadline=int(deadline) / 1000,
        lease=lease,
        asks=read(requirement or "{}", lambda told: told or {}),
        priority=int(priority or 0),
    )


def returned(word: str, rest: Sequence[str]) -> Returned:
    said = word.lower()
    if said not in ("pending", "delayed", "dead", "stale", "cancelled", "gone"):
        raise strange(word)
    return Returned(word=cast(Any, said), due=int(rest[0]) / 1000 if said == "delayed" else None)


def jobs_of(rest: Sequence[str]) -> tuple[Filed, ...]:
    """Of mm_jobs: behind the cursor and the number each job, and its payload."""
    return tuple(read(told, filed, payload) for told, payload in zip(rest[2::2], rest[3::2], strict=True))


def filed(told: Mapping[str, Any], payload: str) -> Filed:
    """`payload` as the function answered it: what is no UTF-8 in it is shown with replacements."""
    return Filed(
        payload=payload.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
        id=str(told["id"]),
        state=told["state"],
        signature=str(told.get("signature") or ""),
        priority=int(told.get("priority") or 0),
        attempts=int(told.get("attempts") or 0),
        max_attempts=int(told.get("max_attempts") or 0),
        submitted=int(told.get("submitted_ms") or 0) / 1000,
        policy=told.get("policy") or "wait",
        **{name: _text(told.get(name)) for name in _TEXTS},
        asks=told.get("requirement") or {},
        excluded=tuple(map(str, told.get("excluded") or ())),
        deadline=_seconds(told.get("deadline_ms")),
        due=_seconds(told.get("due_ms")),
        eligible=None if told.get("eligible") is None else int(told["eligible"]),
        models=available(told.get("models")),
        tries=tuple(map(_ended, told.get("tries") or ())) + _latest(told),
    )


def _ended(told: Mapping[str, Any]) -> Try:
    return Try(
        machine=_text(told.get("machine")),
        worker=_text(told.get("worker")),
        attempt=int(told.get("attempt") or 0),
        began=_seconds(told.get("began_ms") or None),
        ended=_seconds(told.get("ended_ms") or None),
        how=_text(told.get("how")),
        why=_text(told.get("why")),
    )


def _latest(told: Mapping[str, Any]) -> tuple[Try, ...]:
    """The try that runs, or that ended well: the record of the job itself has it."""
    if told["state"] not in ("running", "done"):
        return ()
    return (_ended({**told, "attempt": told.get("attempts"), "how": told["state"], "why": ""}),)


_TEXTS = ("customer", "workflow", "worker", "machine", "why", "result")


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _seconds(value: Any) -> float | None:
    return int(value) / 1000 if value not in (None, "") else None


def explanation(told: Mapping[str, Any]) -> Explanation:
    return Explanation(
        eligible=int(told["eligible"]),
        pending=int(told.get("pending") or 0),
        models=available(told.get("models")),
        machines=verdicts(told.get("machines")),
    )


def verdicts(told: Any) -> tuple[Verdict, ...]:
    return tuple(map(_verdict, told or ()))


def _verdict(told: Mapping[str, Any]) -> Verdict:
    return Verdict(
        machine=str(told["machine"]),
        seat=_text(told.get("seat")),
        fits=told["fits"] is True,
        live=told.get("live"),
        reasons=tuple((str(each["rule"]), str(each["why"])) for each in told.get("reasons") or ()),
        missing=tuple(map(named, told.get("missing") or ())),
    )


def errand(signature: str, text: str) -> Errand:
    def found(told: Mapping[str, Any]) -> Errand:
        return Errand(signature=signature, models=tuple(map(named, told.get("models") or ())), jobs=int(told["jobs"]))

    return read(text, found)
