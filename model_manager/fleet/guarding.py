"""Who may ask: host names that we are, pages of our own, and for writes the holder of the token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from model_manager.errors import printable
from model_manager.fleet.answering import Handler
from model_manager.fleet.problems import Answer


def guarded(names: Collection[str], token: str | None) -> Any:
    """Refuses foreign Host names (DNS rebinding reads nothing here), foreign origins, and writes without the token.

    `names`: host names under which we are asked, besides addresses and localhost.
    """
    known = frozenset({"localhost", *(name.lower() for name in names)})

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_host(request.host, known)
        _check_origin(request)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            _check_token(request, token)
        return await handler(request)

    return check


def _check_host(host: str, known: Collection[str]) -> None:
    name = host_of(host)
    if name not in known and not _is_address(name):
        detail = f"The host name '{printable(name, 100)}' is not served here. Ask by address, or add it to MODEL_MANAGER_FLEET_NAMES."
        raise Answer(403, "foreign-host", detail)


def host_of(netloc: str) -> str:
    """The name in `name:port`, `[::1]:port` or either without a port; lower case."""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0].lower()
    return netloc.partition(":")[0].lower()


def _check_origin(request: web.Request) -> None:
    origin = request.headers.get("Origin")
    if origin is None:
        return
    try:
        ours = urlsplit(origin).netloc.lower() == request.host.lower()
    except ValueError:
        ours = False
    if not ours:
        detail = "A page of another origin asks. Ask from a program, or from a page that is served here."
        raise Answer(403, "foreign-origin", detail)


def _check_token(request: web.Request, token: str | None) -> None:
    if token is None:
        detail = "Writes are switched off. Set MODEL_MANAGER_FLEET_TOKEN where the aggregator runs, and restart it."
        raise Answer(403, "writes-off", detail)
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    right = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), token.encode())
    if scheme.lower() != "bearer" or not right:
        detail = "Writes need the header 'Authorization: Bearer <MODEL_MANAGER_FLEET_TOKEN>'."
        raise Answer(401, "token", detail, {"WWW-Authenticate": "Bearer"})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
