"""The fleet's answers: from an aggregator over HTTP, or made here from one look at Redis."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, closing
from threading import Thread
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import click

from model_manager import settings as configuration
from model_manager.errors import AggregatorAway, BadSetting, Refused, Unavailable, printable

if TYPE_CHECKING:
    from model_manager.fleet.routes import Questions

TIMEOUT: Final = 30.0
"""Seconds of silence; an aggregator may have to ask the catalog first."""

PAGE: Final = "1000"

url_option = click.option(
    "--url", metavar="URL", help="The aggregator's address; without it Redis (REDIS_URL) is read from here."
)

Ask = Callable[[str, Mapping[str, str]], Awaitable[dict[str, Any]]]
"""A question by the name of its route, and its parameters, to JSON."""


@asynccontextmanager
async def asking(url: str | None, *, live: bool = False) -> AsyncIterator[Ask]:
    """How to ask while the block runs. `live` keeps what is read from Redis up to date.

    Raises AggregatorAway, BusUnavailable, BadSettings; and Refused or Unavailable for what is answered so.
    """
    if url is not None:
        yield _over_http(insisted(url))
        return
    from loguru import logger

    from model_manager.fleet.run import looking  # only who reads Redis pays for it

    logger.remove()  # what goes wrong is in the answer

    async with looking(configuration.load(), live=live) as questions:
        yield answered_here(questions)


def answered_here(questions: Questions) -> Ask:
    """Questions that this process answers itself."""
    from model_manager.serving.problems import Answer

    async def ask(name: str, given: Mapping[str, str]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await questions.answer(name, given)
        except Answer as refusal:
            raise refused(refusal.status, refusal.detail) from None
        return answer

    return ask


async def everything(ask: Ask, name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """All pages of an answer in one."""
    body = await ask(name, {**given, "limit": PAGE})
    while cursor := body["next"]:
        page = await ask(name, {**given, "limit": PAGE, "cursor": cursor})
        body = {**page, "items": body["items"] + page["items"]}
    return body


def _over_http(url: str) -> Ask:
    async def ask(name: str, given: Mapping[str, str]) -> dict[str, Any]:
        path = f"/{name.replace('_', '-')}?{urlencode(given)}"
        return await _apart(lambda: fetched(url, path))

    return ask


async def _apart(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """On a thread that nobody waits for when the answer is not wanted any more: an aggregator may be silent for TIMEOUT."""
    answer: Future[dict[str, Any]] = Future()

    def run() -> None:
        if answer.set_running_or_notify_cancel():
            try:
                answer.set_result(call())
            except Exception as error:
                answer.set_exception(error)

    Thread(target=run, daemon=True, name="asking").start()
    return await asyncio.wrap_future(answer)


def fetched(
    url: str, path: str, body: object = None, token: str | None = None, method: str | None = None
) -> dict[str, Any]:
    """What an aggregator answers: to a question, or to a body that is sent to it with the token (by POST unless `method` says otherwise). Raises AggregatorAway when it does not, Refused or Unavailable when it refuses."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        with closing(kind(parts.netloc, timeout=TIMEOUT)) as connection:
            sent = None if body is None else json.dumps(body)
            connection.request(
                method or ("GET" if sent is None else "POST"), parts.path.rstrip("/") + path, sent, _headers(token)
            )
            answer = connection.getresponse()
            content = json.loads(answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise AggregatorAway(url=url, why=str(error) or type(error).__name__) from None
    except ValueError:
        raise AggregatorAway(url=url, why="its answer is not JSON") from None
    if not isinstance(content, dict):
        raise AggregatorAway(url=url, why="its answer is no JSON object")
    if answer.status not in (200, 201, 202):
        raise refused(answer.status, str(content.get("detail") or f"It answered {answer.status}."))
    return content


def _headers(token: str | None) -> dict[str, str]:
    plain = {"Accept": "application/json", "Content-Type": "application/json"}
    return plain | ({"Authorization": f"Bearer {token}"} if token else {})


def refused(status: int, detail: str) -> Refused | Unavailable:
    return Unavailable(what=printable(detail)) if status >= 500 else Refused(what=printable(detail))


def insisted(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise BadSetting(name="--url", why="it is no http(s) address", fix="Write http://HOST:8190.")
    return url
