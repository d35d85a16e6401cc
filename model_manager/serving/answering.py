"""Bodies, entity tags, compression, and the one place where failures become refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from model_manager.errors import Refused, Unavailable, printable
from model_manager.facts import wire
from model_manager.serving.problems import Answer, away

COMPRESS_ABOVE: Final = 1024
"""Bytes of an answer."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Refuse = Callable[[web.Request, Answer], web.Response]
Fault = Callable[[web.Request, Exception], None]


def answered(request: web.Request, record: Any, status: int = 200) -> web.Response:
    """A record as JSON. Readers get an entity tag, and 304 without a body where they have it already."""
    return tagged(request, wire.dumps(record), "application/json", status)


def tagged(request: web.Request, body: bytes, content_type: str, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.method in ("GET", "HEAD"):
        tag = tag_of(body)
        headers["ETag"] = f'W/"{tag}"'
        if has(request, tag):
            return web.Response(status=304, headers=headers)
    response = web.Response(status=status, body=body, headers={**headers, "Content-Type": content_type})
    if len(body) > COMPRESS_ABOVE and takes_gzip(request.headers.get("Accept-Encoding", "")):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def tag_of(body: bytes) -> str:
    """The entity tag of an answer, without its quotes."""
    return hashlib.sha256(body).hexdigest()[:32]


def has(request: web.Request, tag: str) -> bool:
    """Whether the asker has this already (If-None-Match)."""
    return any(known.value in (tag, "*") for known in request.if_none_match or ())


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding takes gzip (RFC 9110, 12.5.3): named, or by `*`, and not with a weight of 0."""
    weights: dict[str, bool] = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        weights[name.strip()] = parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return weights.get("gzip", weights.get("*", False))


def answering(refuse: Refuse, fault: Fault, who: str, needs: str) -> Any:
    """A middleware: every failure is refused in the shape of `refuse`: no HTML, no stack trace, no secret.

    `fault` is told of what is ours. `who` failed then (the aggregator); `needs` is what is away when something is (redis).
    """

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Answer as answer:
            return refuse(request, answer)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return refuse(request, explained(request, error))
        except Unavailable as error:
            return refuse(request, away(needs, str(error), error.retry_after))
        except Refused as error:
            return refuse(request, Answer(422, "refused", str(error)))
        except Exception as error:
            fault(request, error)
            return refuse(request, Answer(500, "fault", f"This is a fault of the {who}. Look at its log."))

    return answer


def explained(request: web.Request, error: web.HTTPException) -> Answer:
    """What aiohttp refuses, as an answer that says what to do."""
    path = printable(request.path, 200)
    match error:
        case web.HTTPRequestEntityTooLarge():
            limit = request.client_max_size
            return Answer(413, "too-large", f"The body is larger than {limit} bytes. Send less at a time.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            detail = f"{path} does not take {printable(request.method, 20)}. Use {allowed}."
            return Answer(405, "method", detail, {"Allow": allowed})
        case web.HTTPNotFound():
            return Answer(404, "no-route", f"There is no route {path}. GET /openapi.json lists them all.")
        case _:
            return Answer(error.status, "http", error.reason)
