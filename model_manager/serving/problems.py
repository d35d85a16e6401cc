"""What is refused, as problem+json (RFC 9457): `detail` says what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from model_manager.errors import printable
from model_manager.facts import wire

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """RFC 9457. `detail` says what to do next."""

    type: str
    title: str
    status: int
    detail: str
    instance: str


class Answer(Exception):
    """A refusal on its way out. `kind` is the last word of the problem's type; `headers` go with it."""

    def __init__(self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = headers or {}


def bad_parameter(name: str, why: str) -> Answer:
    return Answer(400, "bad-parameter", f"'{printable(name, 60)}' {why}")


def bad_body(why: str) -> Answer:
    return Answer(400, "bad-body", why)


def no_such(what: str, name: str, hint: str) -> Answer:
    return Answer(404, f"no-such-{what}", f"There is no {what} '{printable(name, 200)}'. {hint}")


def away(what: str, why: str, seconds: float | None = None) -> Answer:
    """`what` (redis, catalog) cannot be had now; `seconds` to wait."""
    return Answer(503, f"{what}-away", why, {"Retry-After": str(max(1, round(seconds or 5)))})


def refusal(request: web.Request, answer: Answer) -> web.Response:
    """The answer as a problem. One whose body was not read whole ends the connection."""
    problem = Problem(
        type=f"urn:model-manager:problem:{answer.kind}",
        title=HTTPStatus(answer.status).phrase,
        status=answer.status,
        detail=answer.detail,
        instance=printable(request.rel_url.raw_path, 500),
    )
    response = web.Response(
        status=answer.status, body=wire.dumps(problem), content_type=CONTENT_TYPE, headers=dict(answer.headers)
    )
    response.headers["Cache-Control"] = "no-store"
    if answer.status in (408, 413):
        response.force_close()
    return response
