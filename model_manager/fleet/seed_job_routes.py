"""The routes of StableQueue that are about jobs, in both of its versions."""

from __future__ import annotations

from typing import Any, Final

from model_manager.fleet.handling import Ask, Do, doing, reading
from model_manager.fleet.job_routes import BODIED, JOB, WRITING
from model_manager.fleet.parameters import jumping
from model_manager.fleet.seed_jobs import GIVEN, SeedJobs
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
        method="POST", path=path, name=name, takes="SeedJob", good=(200, 202), refusals=BODIED,
        summary="Hand in a job; says before and after where its checkpoint and its LoRAs are.",
    )  # fmt: skip


def _acting(path: str, name: str, summary: str) -> Route:
    return Route(method="POST", path=path, name=name, summary=summary, params=(JOB,), secured=True, refusals=WRITING)


READING: Final = (
    _reading("/api/v1/queue/jobs", "seed_jobs", "Jobs.", *_LISTED),
    _reading("/api/v2/jobs", "seed_jobs_2", "Jobs.", *_LISTED),
    _reading("/api/v1/queue/jobs/{job}/status", "seed_job", "A job, with model_availability as of now.", JOB),
    _reading("/api/v2/jobs/{job}/status", "seed_job_2", "A job, with model_availability as of now.", JOB),
)
SUBMITTING: Final = (_submitting("/api/v1/generate", "seed_submit"), _submitting("/api/v2/generate", "seed_submit_2"))
ACTING: Final = (
    _acting("/api/v1/queue/jobs/{job}/cancel", "seed_cancel", "Take a job back."),
    _acting("/api/v2/jobs/{job}/cancel", "seed_cancel_2", "Take a job back."),
    _acting("/api/v1/queue/jobs/{job}/retry", "seed_retry", "Try a job again."),
)
ROUTES: Final = (*READING, *SUBMITTING, *ACTING)


def handlers(jobs: SeedJobs) -> dict[str, Handler]:
    """By the names of the routes."""
    asks: dict[str, Ask] = {
        "seed_jobs": jobs.listed,
        "seed_jobs_2": jobs.listed,
        "seed_job": jobs.status,
        "seed_job_2": jobs.status_2,
    }
    submit: Do = lambda _, body: jobs.submit(body)  # noqa: E731
    acts: dict[str, Ask] = {"seed_cancel": jobs.cancel, "seed_cancel_2": jobs.cancel, "seed_retry": jobs.retry}
    served = {route.name: reading(route, asks[route.name]) for route in READING}
    served |= {route.name: doing(route, submit, _status) for route in SUBMITTING}
    return served | {route.name: reading(route, acts[route.name]) for route in ACTING}


def _status(made: Any) -> int:
    return 202 if made["outcome"] == "queued" else 200
