"""Who may ask: host names that we are, pages of our own or of origins that were named, and for writes holders of a token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from model_manager.errors import printable
from model_manager.serving.answering import Handler
from model_manager.serving.problems import Answer

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def guarded(
    names: Collection[str],
    named_in: str,
    *,
    origins: Collection[str] = (),
    writers: Mapping[str, str] | None,
    setting: str,
) -> Any:
    """Refuses foreign Host names (DNS rebinding reads nothing here), foreign origins, and unsafe methods without a token.

    `names`: host names under which we are asked, besides addresses and localhost; `named_in` is the setting of more.
    `origins` may ask from their pages; `*` is all of them. `writers`: name → token, None to leave tokens to the routes;
    `setting` holds them.
    """
    served = frozenset({"localhost", *(name.lower() for name in names)})

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_host(request.host, served, named_in)
        check_origin(request, origins)
        if writers is not None and request.method not in READING:
            writer_of(request, writers, setting)
        return await handler(request)

    return check


def _check_host(host: str, known: Collection[str], setting: str) -> None:
    name = host_of(host)
    if name not in known and not _is_address(name):
        shown = printable(name, 100)
        detail = f"The host name '{shown}' is not served here. Ask by address, or add it to {setting}."
        raise Answer(403, "foreign-host", detail)


def host_of(netloc: str) -> str:
    """The name in `name:port`, `[::1]:port` or either without a port; lower case."""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0].lower()
    return netloc.partition(":")[0].lower()


def check_origin(request: web.Request, origins: Collection[str]) -> None:
    """Raises Answer 403 for a page that is neither ours nor of `origins`."""
    origin = request.headers.get("Origin")
    if origin is None or origin in origins or "*" in origins:
        return
    try:
        ours = urlsplit(origin).netloc.lower() == request.host.lower()
    except ValueError:
        ours = False
    if not ours:
        detail = "A page of another origin asks. Ask from a program, or from a page that is served here."
        raise Answer(403, "foreign-origin", detail)


def writer_of(request: web.Request, writers: Mapping[str, str], setting: str) -> str:
    """The name of who writes. Raises Answer 403 without any writer, 401 without a token of one."""
    if not writers:
        detail = f"Writes are switched off. Set {setting} where this server runs, and restart it."
        raise Answer(403, "writes-off", detail)
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = given.strip().encode(errors="surrogateescape")
    found = [name for name, known in writers.items() if hmac.compare_digest(token, known.encode())]
    if scheme.lower() != "bearer" or not found:
        detail = f"This needs the header 'Authorization: Bearer <{setting}>'."
        raise Answer(401, "token", detail, {"WWW-Authenticate": "Bearer"})
    return found[0]


@lru_cache(maxsize=1024)
def _is_address(name: str) -> bool:
    """Remembered: all ask under the same few names, and to read one takes longer than the rest of the guard."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
