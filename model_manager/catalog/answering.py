"""Bodies, entity tags and refusals of the catalog: whatever goes wrong is answered in the shape of its family."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web
from loguru import logger

from model_manager.errors import BadRecord, ModelManagerError, Refused, Unavailable, printable
from model_manager.facts.wire import dumps, loads

MAX_BODY: Final = 1024 * 1024
"""Bytes of a request's body."""

MAX_NAMES: Final = 10_000
"""Ids or names in one request."""

BODY_SECONDS: Final = 30.0
"""How long a request's body may take to arrive."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Answer(Exception):
    """A refusal: an HTTP status, a message that says what to do, and fields that the family puts beside it."""

    def __init__(self, status: int, message: str, *, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.fields = fields or {}


def enveloped(request: web.Request, data: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    """`{"data": …, "error": null}` with an entity tag."""
    return bare(request, {"data": data, "error": None}, headers)


def bare(request: web.Request, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON with an entity tag on GET; 304 without a body where the asker has it already."""
    content = dumps(body)
    response = web.Response(body=content, content_type="application/json", headers=headers)
    if request.method in ("GET", "HEAD"):
        tag = hashlib.sha256(content).hexdigest()[:32]
        response.etag = tag
        response.headers["Cache-Control"] = "no-cache"
        if _has(request, tag):
            return web.Response(status=304, headers={"ETag": response.headers["ETag"], "Cache-Control": "no-cache"})
    return response


def _has(request: web.Request, tag: str) -> bool:
    return any(known.value in (tag, "*") for known in request.if_none_match or ())


async def asked_object(request: web.Request) -> Mapping[str, Any]:
    """The request's body as a JSON object. Answers 400, 408 or 413 to anything else."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = loads(await request.read(), "the request")
    except TimeoutError:
        raise Answer(408, f"The body did not arrive within {BODY_SECONDS:.0f} s. Send it again.") from None
    except BadRecord:
        raise Answer(400, "The body is not JSON. Send a JSON object.") from None
    if not isinstance(body, dict):
        raise Answer(400, "The body is not a JSON object. Send one.")
    return body


def asked_names(body: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The list of names under `key`, once each; empty when it is not there. Answers 400 to any other shape."""
    names = body.get(key)
    if names is None:
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Answer(400, f"{key} must be an array of strings.")
    if len(names) > MAX_NAMES:
        raise Answer(400, f"{key} has {len(names)} entries; ask for at most {MAX_NAMES} at a time.")
    return tuple(dict.fromkeys(names))


@web.middleware
async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure as a body of ours: no HTML, no stack trace."""
    try:
        return await handler(request)
    except Answer as answer:
        return _refusal(request, answer)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return _refusal(request, Answer(error.status, _explained(request, error)), kept)
    except Unavailable as error:
        wait = {"Retry-After": str(max(1, round(error.retry_after or 1)))}
        return _refusal(request, Answer(503, str(error)), wait)
    except Exception as error:
        return _fault(request, error)


def _explained(request: web.Request, error: web.HTTPException) -> str:
    path = printable(request.path)
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return f"The body is larger than {MAX_BODY} bytes. Ask for less at a time."
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{path} does not take {request.method}. Use {', '.join(sorted(error.allowed_methods))}."
    if isinstance(error, web.HTTPNotFound):
        return f"There is no route {path}."
    return error.reason


def _fault(request: web.Request, error: Exception) -> web.Response:
    """A fault of ours: the log gets the cause, the asker does not."""
    cause = str(error) if isinstance(error, ModelManagerError) else type(error).__name__
    logger.opt(exception=None if isinstance(error, Refused) else error).error(
        "catalog request failed: {} {}: {}", request.method, printable(request.path), cause
    )
    return _refusal(request, Answer(500, "The catalog failed. Look at its log."))


def _refusal(request: web.Request, answer: Answer, headers: Mapping[str, str] | None = None) -> web.Response:
    body = {"error": answer.message, **answer.fields}
    if not _bare_family(request):
        body = {"data": None, **body}
    response = web.Response(status=answer.status, body=dumps(body), content_type="application/json", headers=headers)
    if answer.status in (408, 413):
        response.force_close()
    return response


def _bare_family(request: web.Request) -> bool:
    return request.path.startswith("/api/")
