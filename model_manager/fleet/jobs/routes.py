"""The routes of jobs."""

from __future__ import annotations

from typing import Any, Final

from model_manager.fleet.handling import Ask, Do, doing, reading
from model_manager.fleet.jobs import shapes
from model_manager.fleet.jobs.desk import Desk
from model_manager.fleet.parameters import ONE_MACHINE
from model_manager.serving.answering import Handler
from model_manager.serving.asking import Param
from model_manager.serving.routing import Route

STATES: Final = ("next", "pending", "running", "delayed", "dead", "done")

JOB: Final = Param(name="job", help="Its id.", where="path", most=200, required=True)

WRITING: Final = (401, 403, 404, 409, 422, 503)
BODIED: Final = (*WRITING, 408, 413, 415)

READING: Final = (
    Route(
        method="GET", path="/jobs", name="jobs", summary="Jobs in a state, and what those that wait are waiting for.",
        answer=shapes.JobPage, refusals=(422, 503),
        params=(
            Param(name="state", help="`next`: the first ones in the order of claiming.", choices=STATES, default="next"),
            Param(name="model", help="Only jobs that ask for this `folder/name`, by whatever they call it. An answer looks at 1,000: go on with `next`."),
            Param(name="limit", help="Jobs of one page.", kind="integer", default=50, most=100),
            Param(name="cursor", help="`next` of the page before.", kind="cursor"),
        ),
    ),
    Route(
        method="GET", path="/jobs/{job}", name="job", summary="A job, and where its models are.", answer=shapes.JobDetail,
        params=(JOB,), refusals=(404, 422, 503),
    ),
    Route(
        method="GET", path="/jobs/{job}/explain", name="explain_job", answer=shapes.Explained, refusals=(404, 422, 503),
        summary="Which machines can take a job, why others cannot, and what they would have to fetch.",
        params=(JOB, ONE_MACHINE, Param(name="limit", help="Machines.", kind="integer", default=10, most=50)),
    ),
)  # fmt: skip

DOING: Final = (
    Route(
        method="POST", path="/jobs", name="submit_job", answer=shapes.Submission, takes="Job", good=(200, 202),
        summary="Hand in a job, or ask what would become of it.", refusals=BODIED,
    ),
    Route(
        method="POST", path="/jobs/{job}/retry", name="retry_job", answer=shapes.JobState, secured=True,
        summary="Try again a job that is dead, cancelled or delayed.", params=(JOB,), refusals=WRITING,
    ),
    Route(
        method="POST", path="/jobs/{job}/cancel", name="cancel_job", answer=shapes.JobState, secured=True,
        summary="Take a job back; a worker that has it hears of it.", params=(JOB,), refusals=WRITING,
    ),
)  # fmt: skip

ROUTES: Final = (*READING, *DOING)


def handlers(desk: Desk) -> dict[str, Handler]:
    """By the names of the routes."""
    asks: dict[str, Ask] = {"jobs": desk.page, "job": desk.one, "explain_job": desk.explain}
    does: dict[str, Do] = {
        "submit_job": lambda _, body: desk.submit(body),
        "retry_job": lambda values, _: desk.retry(values),
        "cancel_job": lambda values, _: desk.cancel(values),
    }
    served = {route.name: reading(route, asks[route.name]) for route in READING}
    return served | {route.name: doing(route, does[route.name], _status) for route in DOING}


def _status(made: Any) -> int:
    """202: it was taken, and is done later."""
    return 202 if isinstance(made, shapes.Submission) and made.outcome == "queued" else 200
