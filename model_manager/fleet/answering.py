"""Bodies, entity tags, compression, and the one place where failures become problems."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from loguru import logger

from model_manager.errors import BadSetting, ModelManagerError, Refused, Unavailable, printable
from model_manager.facts import wire
from model_manager.fleet.problems import Answer, redis_away, refusal

MAX_BODY: Final = 256 * 1024
"""Bytes of a request's body."""

COMPRESS_ABOVE: Final = 1024
"""Bytes of an answer."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answered(request: web.Request, record: Any, status: int = 200) -> web.Response:
    """A record as JSON. Readers get an entity tag, and 304 without a body where they have it already."""
    return tagged(request, wire.dumps(record), "application/json", status)


def tagged(request: web.Request, body: bytes, content_type: str, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if request.method in ("GET", "HEAD"):
        tag = hashlib.sha256(body).hexdigest()[:32]
        headers["ETag"] = f'W/"{tag}"'
        if any(known.value in (tag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
    response = web.Response(status=status, body=body, headers={**headers, "Content-Type": content_type})
    if len(body) > COMPRESS_ABOVE and takes_gzip(request.headers.get("Accept-Encoding", "")):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding takes gzip (RFC 9110, 12.5.3): named, or by `*`, and not with a weight of 0."""
    weights: dict[str, bool] = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        weights[name.strip()] = parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return weights.get("gzip", weights.get("*", False))


@web.middleware
async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure as a problem of ours: no HTML, no stack trace, no secret."""
    try:
        return await handler(request)
    except Answer as answer:
        return refusal(request, answer)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return refusal(request, _explained(request, error))
    except Unavailable as error:
        return refusal(request, redis_away(str(error)))
    except (Refused, BadSetting) as error:
        return refusal(request, Answer(422, "refused", str(error)))
    except Exception as error:
        return _fault(request, error)


def _explained(request: web.Request, error: web.HTTPException) -> Answer:
    path = printable(request.path, 200)
    match error:
        case web.HTTPRequestEntityTooLarge():
            return Answer(413, "too-large", f"The body is larger than {MAX_BODY} bytes. Send less at a time.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            detail = f"{path} does not take {printable(request.method, 20)}. Use {allowed}."
            return Answer(405, "method", detail, {"Allow": allowed})
        case web.HTTPNotFound():
            return Answer(404, "no-route", f"There is no route {path}. GET /openapi.json lists them all.")
        case _:
            return Answer(error.status, "http", error.reason)


def _fault(request: web.Request, error: Exception) -> web.Response:
    cause = str(error) if isinstance(error, ModelManagerError) else type(error).__name__
    logger.opt(exception=error).error("fleet request failed: {} {}: {}", request.method, printable(request.path), cause)
    return refusal(request, Answer(500, "fault", "This is a fault of the aggregator. Look at its log."))
