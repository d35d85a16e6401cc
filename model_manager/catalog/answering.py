"""Bodies and refusals of the catalog: whatever goes wrong is answered in the shape of its family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from loguru import logger

from model_manager.catalog.records import Stored
from model_manager.catalog.shapes import BareFailed, Failed
from model_manager.errors import (
    BadRecord,
    BadSetting,
    CatalogChanged,
    CatalogConflict,
    CatalogUnavailable,
    ModelManagerError,
    NotFound,
    Refused,
    printable,
)
from model_manager.facts import wire
from model_manager.serving.answering import Handler, tag_of, tagged
from model_manager.serving.problems import Answer, away

MAX_BODY: Final = 1024 * 1024
"""Bytes of a request's body."""


class BareAnswer(Answer):
    """A refusal that names the model that was asked for."""

    def __init__(self, status: int, kind: str, detail: str, model_id: str) -> None:
        super().__init__(status, kind, detail)
        self.model_id = model_id


def enveloped(
    request: web.Request, data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """`{"data": …, "error": null}`, with an entity tag for readers."""
    return bare(request, {"data": data, "error": None}, status=status, headers=headers)


def bare(
    request: web.Request, body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    response = tagged(request, wire.dumps(body), "application/json", status)
    response.headers.update(headers or {})
    return response


def doc(stored: Stored) -> Any:
    """A record's JSON as it stands in the database."""
    return wire.raw(stored.doc)


def tag(data: Any) -> str:
    """The entity tag of an enveloped answer."""
    return tag_of(wire.dumps({"data": data, "error": None}))


def refused(request: web.Request, answer: Answer) -> web.Response:
    """The refusal in the shape of its family. One whose body was not read whole ends the connection."""
    body: Failed | BareFailed | dict[str, str]
    if not request.path.startswith("/api/"):
        body = Failed(error=answer.detail)
    elif isinstance(answer, BareAnswer):
        body = BareFailed(error=answer.detail, model_id=answer.model_id)
    else:
        body = {"error": answer.detail}
    response = web.Response(
        status=answer.status, body=wire.dumps(body), content_type="application/json", headers=dict(answer.headers)
    )
    response.headers["Cache-Control"] = "no-store"
    if answer.status in (408, 413):
        response.force_close()
    return response


@web.middleware
async def sorted_out(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What is refused by its kind: absent, taken, changed meanwhile, unusable. What no text can hold is nothing of ours."""
    if any("\ud800" <= c <= "\udfff" for c in f"{request.path}{request.query_string}"):
        raise Answer(400, "not-text", "The address is not UTF-8. Percent-encode it.")
    try:
        return await handler(request)
    except BadSetting as error:  # the database, which was good when we began
        fault(request, error)
        raise Answer(500, "fault", "The catalog's database cannot be used. Look at the server's log.") from None
    except CatalogUnavailable as error:
        logger.warning("catalog request put off: {}", error)
        raise away("catalog", "The catalog's database does not answer now. Ask again.", error.retry_after) from None
    except CatalogChanged as error:
        raise Answer(412, "changed", str(error)) from None
    except CatalogConflict as error:
        raise Answer(409, "conflict", str(error)) from None
    except NotFound as error:
        raise Answer(404, "absent", str(error)) from None
    except BadRecord as error:
        raise Answer(422, "unusable", f"'{printable(error.facts['name'], 100)}': {error.facts['why']}.") from None


def fault(request: web.Request, error: Exception) -> None:
    """A fault of ours: the log gets the cause, the asker does not."""
    cause = str(error) if isinstance(error, ModelManagerError) else type(error).__name__
    logger.opt(exception=None if isinstance(error, Refused) else error).error(
        "catalog request failed: {} {}: {}", request.method, printable(request.path), cause
    )
