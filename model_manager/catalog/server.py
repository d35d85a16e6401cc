"""The table of routes as an application."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from model_manager.catalog.answering import MAX_BODY, fault, refused, sorted_out
from model_manager.catalog.doctor.attending import Attending, Visiting
from model_manager.catalog.doctor.consulting import Consulting
from model_manager.catalog.feed import Feed
from model_manager.catalog.limiting import limited, open_to, preflight
from model_manager.catalog.operating import Counting, Operating
from model_manager.catalog.questions import Questions
from model_manager.catalog.routes import PREFIXES, ROUTES, document
from model_manager.catalog.storage.store import Store
from model_manager.catalog.writes import SETTING, Writes
from model_manager.serving.answering import Handler, answering
from model_manager.serving.asking import Asked, asked
from model_manager.serving.guarding import guarded
from model_manager.serving.routing import Route, specific_first

NAMES: Final = "MODEL_MANAGER_CATALOG_NAMES"

Handle = Callable[[web.Request, Asked], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`tokens`: names of the token variables that are set here. `names`: host names under which we are asked, besides addresses
    and localhost. `origins`: of pages that may ask. `writers`: name → token. `per_minute`: requests from one address, 0 = no limit.
    `visiting`: who visits addresses for the doctor, None for nobody.
    """

    tokens: Collection[str] = ()
    names: Collection[str] = ()
    origins: Collection[str] = ()
    writers: Mapping[str, str] = field(default_factory=dict, repr=False)
    per_minute: int = 0
    read_only: bool = False
    visiting: Visiting | None = None


class Server:
    def __init__(self, store: Store, rules: Rules) -> None:
        self.feed = Feed(store)
        self._rules = rules
        self._counting = Counting()
        self._questions = Questions(store, rules.tokens)
        self._writes = Writes(store, self._questions, self.feed, rules.writers, read_only=rules.read_only)
        self._operating = Operating(
            store, self.feed, self._counting, document, self._writes.who, read_only=rules.read_only
        )
        self._attending = Attending(store, rules.visiting, rules.tokens, self.feed.ring)
        self._consulting = Consulting(self._attending, self._writes.allowed)

    def at_work(self) -> AbstractAsyncContextManager[None]:
        """What goes on beside questions, for the length of a block."""
        return self._attending.at_work()

    def application(self) -> web.Application:
        rules = self._rules
        guard = guarded(rules.names, NAMES, origins=rules.origins, writers=None, setting=SETTING)
        failures = answering(refused, fault, "catalog", "catalog")
        limit = limited(rules.per_minute, time.monotonic)
        application = web.Application(
            middlewares=[failures, limit, guard, preflight, sorted_out], client_max_size=MAX_BODY
        )
        handlers = self._handlers()
        for route in specific_first(ROUTES):
            self._add(application, route, handlers[route.name])
        application.on_response_prepare.append(open_to(rules.origins))
        application.on_shutdown.append(self._send_home)
        return application

    def _add(self, application: web.Application, route: Route, handle: Handle) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await handle(request, asked(request, route.params))

        counted: Handler = self._counting.counted(route.name, answer)
        pattern = route.path.replace("{name}", "{name:.+}")
        pattern = pattern.replace("{id}", "{id:.+}") if route.path.startswith("/api/") else pattern
        application.router.add_route(route.method, pattern, counted)
        if route.method == "GET" and route.name not in ("stream", "export"):
            application.router.add_route("HEAD", pattern, counted)

    def _handlers(self) -> dict[str, Handle]:
        """By the names of the routes: a method of that name, or of a workflow's under both its names."""
        rooms: tuple[Any, ...] = (self._questions, self._operating, self._writes, self._consulting)
        found: dict[str, Handle] = {
            "model_delete": self._writes.delete("model"),
            "collection_delete": self._writes.delete("collection"),
            "import": self._writes.import_,
            **{f"{word}_delete": self._writes.delete("workflow") for _, word in PREFIXES},
        }
        for route in ROUTES:
            if route.name not in found:
                name = _as_workflow(route.name)
                found[route.name] = next(getattr(room, name) for room in rooms if hasattr(room, name))
        return found

    async def _send_home(self, _: web.Application) -> None:
        self.feed.close()


def _as_workflow(name: str) -> str:
    """Components are workflows under their old name."""
    return name.replace("component", "workflow", 1) if name.startswith("component") else name
