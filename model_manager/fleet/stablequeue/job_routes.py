"""The routes of StableQueue that are about jobs, in both of its versions."""

from __future__ import annotations

from typing import Any, Final

from model_manager.fleet.handling import Ask, Do, doing, reading
from model_manager.fleet.jobs.routes import BODIED, JOB, WRITING
from model_manager.fleet.parameters import jumping
from model_manager.fleet.stablequeue.jobs import GIVEN, StableQueueJobs
from model_manager.serving.answering import Handler
from model_manager.serving.asking import Param
from model_manager.serving.routing import Route

_LISTED: Final = jumping(
    Param(name="status", help="Only jobs of this status.", choices=tuple(GIVEN)),
    Param(name="order", help="By the time of submission.", choices=("asc", "desc"), default="desc"),
    what="jobs",
)
_REFUSED: Final = (404, 422, 503)


def _reading(path: str, name: str, summary: str, *params: Param) -> Route:
    return Route(method="GET", path=path, name=name, summary=summary, params=params, refusals=_REFUSED)


def _submitting(path: str, name: str) -> Route:
    return Route(
        method="POST", path=path, name=name, takes="StableQueueJob", good=(200, 202), refusals=BODIED,
        summary="Hand in a job; says before and after where its checkpoint and its LoRAs are.",
    )  # fmt: skip


def _acting(path: str, name: str, summary: str) -> Route:
    return Route(method="POST", path=path, name=name, summary=summary, params=(JOB,), secured=True, refusals=WRITING)


READING: Final = (
    _reading("/api/v1/queue/jobs", "stablequeue_jobs", "Jobs.", *_LISTED),
    _reading("/api/v2/jobs", "stablequeue_jobs_2", "Jobs.", *_LISTED),
    _reading("/api/v1/queue/jobs/{job}/status", "stablequeue_job", "A job, with model_availability as of now.", JOB),
    _reading("/api/v2/jobs/{job}/status", "stablequeue_job_2", "A job, with model_availability as of now.", JOB),
)
SUBMITTING: Final = (
    _submitting("/api/v1/generate", "stablequeue_submit"),
    _submitting("/api/v2/generate", "stablequeue_submit_2"),
)
ACTING: Final = (
    _acting("/api/v1/queue/jobs/{job}/cancel", "stablequeue_cancel", "Take a job back."),
    _acting("/api/v2/jobs/{job}/cancel", "stablequeue_cancel_2", "Take a job back."),
    _acting("/api/v1/queue/jobs/{job}/retry", "stablequeue_retry", "Try a job again."),
)
ROUTES: Final = (*READING, *SUBMITTING, *ACTING)


def handlers(jobs: StableQueueJobs) -> dict[str, Handler]:
    """By the names of the routes."""
    asks: dict[str, Ask] = {
        "stablequeue_jobs": jobs.listed,
        "stablequeue_jobs_2": jobs.listed,
        "stablequeue_job": jobs.status,
        "stablequeue_job_2": jobs.status_2,
    }
    submit: Do = lambda _, body: jobs.submit(body)  # noqa: E731
    acts: dict[str, Ask] = {
        "stablequeue_cancel": jobs.cancel,
        "stablequeue_cancel_2": jobs.cancel,
        "stablequeue_retry": jobs.retry,
    }
    served = {route.name: reading(route, asks[route.name]) for route in READING}
    served |= {route.name: doing(route, submit, _status) for route in SUBMITTING}
    return served | {route.name: reading(route, acts[route.name]) for route in ACTING}


def _status(made: Any) -> int:
    return 202 if made["outcome"] == "queued" else 200
