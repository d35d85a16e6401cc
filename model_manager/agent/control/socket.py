"""HTTP on `<state>/control.sock` (and its read-only half on an optional TCP port)."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from model_manager.agent.assignment.analyzing import Analyzing
from model_manager.agent.board import Board
from model_manager.agent.control.status import plan_answer, progress_answer, ready_answer, shown, status_answer
from model_manager.agent.holdings.shelves import Shelves
from model_manager.agent.metrics import CONTENT_TYPE, metrics
from model_manager.errors import BadRecord, BadRequest, BadSetting, Refused, Unavailable
from model_manager.facts import wire
from model_manager.facts.event import Envelope
from model_manager.serving.problems import Answer
from model_manager.serving.receiving import received

SOCKET_PATH_LIMIT: Final = 107
"""Bytes of a Unix socket's path (sockaddr_un.sun_path less its end)."""

ANALYZE: Final = "/workflows/analyze"

KEEP_ALIVE: Final = 15.0
"""Seconds between comments on a quiet event stream."""

PROGRESS: Final = 0.5
"""Least seconds between two events of progress, unless a listener asks for fewer."""

Asked = dict[str, Any]
"""The JSON object that a POST carries; empty when it carries nothing."""

Action = Callable[[Asked], Awaitable[dict[str, Any]]]
"""What a POST does, and what it answers."""

Listening = asyncio.Queue[tuple[Envelope, ...]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """Routes over the board. Everything that changes something is a POST and lives on the Unix socket only."""

    def __init__(
        self, board: Board, shelves: Shelves, actions: dict[str, Action], analyzing: Analyzing | None = None
    ) -> None:
        """`actions`: the name of a POST route → what it does."""
        self._analyzing = analyzing
        self._board = board
        self._shelves = shelves
        self._actions = actions

    def reading(self) -> list[web.RouteDef]:
        return [
            web.get("/ready", self._ready),
            web.get("/ready/{workflow}", self._ready_workflow),
            web.get("/status", self._status),
            web.get("/progress", self._progress),
            web.get("/plan", self._plan),
            web.get("/events", self._events),
            web.get("/metrics", self._metrics),
            *([web.get(ANALYZE, self._analyze), web.post(ANALYZE, self._analyze)] if self._analyzing else []),
        ]

    def acting(self) -> list[web.RouteDef]:
        return [web.post(f"/{name}", self._action(do)) for name, do in self._actions.items()]

    async def _ready(self, _: web.Request) -> web.Response:
        readiness = self._board.readiness
        return _answer(ready_answer(readiness), 200 if readiness.ready else 503)

    async def _ready_workflow(self, request: web.Request) -> web.Response:
        name = request.match_info["workflow"]
        for flow in self._board.readiness.workflows:
            if flow.name == name:
                body = {"ready": flow.ready, "reasons": flow.reasons, "generation": self._board.readiness.generation}
                return _answer(body, 200 if flow.ready else 503)
        if self._board.requirements is None:
            return _answer({"ready": False, "reasons": ["the assignment has not been read yet"]}, 503)
        return _answer({"error": f"workflow '{name}' is not assigned to this machine; assign it first"}, 404)

    async def _status(self, _: web.Request) -> web.Response:
        return _answer(status_answer(self._board, self._shelves))

    async def _progress(self, _: web.Request) -> web.Response:
        return _answer(progress_answer(self._board))

    async def _plan(self, _: web.Request) -> web.Response:
        if self._board.plan is None:
            return _answer({"error": "the assignment has not been understood yet; ask again in a moment"}, 503)
        return _answer(plan_answer(self._board.plan))

    async def _analyze(self, request: web.Request) -> web.Response:
        """POST for a file that is sent, GET for the workflow files that are assignments. Changes nothing."""
        if self._analyzing is None:
            raise web.HTTPNotFound
        try:
            if request.method != "POST":
                return _answer(await self._analyzing.files())
            return _answer(await self._analyzing.sent(await received(request, "workflow")))
        except Answer as refusal:
            return _answer({"error": refusal.detail}, refusal.status)
        except Refused as error:
            return _answer({"error": str(error)}, 422)
        except Unavailable as error:
            return _answer({"error": str(error)}, 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=metrics(self._board, self._shelves), headers={"Content-Type": CONTENT_TYPE})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: what is told from now on (`id` is `epoch-seq`), and while something moves how far it is.

        `?progress=SECONDS` between two events of the kind `progress`, which have no id; 0 for none.
        """
        every = _seconds(request.query.get("progress", ""))
        if every is None:
            return _answer({"error": "progress is a number of seconds; 0 for no events of progress"}, 400)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        with self._shelves.listening() as queue, contextlib.suppress(ConnectionError):
            await response.write(b": listening\n\n")
            moving, time = Moving(self._board, every), asyncio.get_running_loop().time
            spoken = time()
            while not self._board.stopping:
                envelopes = await _within(queue, min(every or KEEP_ALIVE, KEEP_ALIVE))
                if envelopes == ():
                    break
                said = b"".join(map(_sse, envelopes or ())) + moving.news(time())
                if not said and time() - spoken >= KEEP_ALIVE:
                    said = b": still here\n\n"
                if said:
                    spoken = time()
                    await response.write(said)
        return response

    def _action(self, do: Action) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                answer = await do(await _asked(request))
            except Refused as error:
                return _answer({"error": str(error)}, 400)
            except Unavailable as error:
                return _answer({"error": str(error)}, 503)
            return _answer(answer, 200 if answer.get("accepted", True) else 409)

        return handle


async def _asked(request: web.Request) -> Asked:
    try:
        asked = wire.loads_unique(await request.read() or b"{}", "the body")
    except BadRecord as error:
        raise BadRequest(why=f"its body cannot be read: {error.facts['why']}", fix="Send a JSON object.") from None
    if not isinstance(asked, dict):
        raise BadRequest(why="its body is no JSON object", fix="Send one, or nothing.")
    return asked


class Moving:
    """How far everything is, for one listener: at most every so many seconds, and only when it changed."""

    def __init__(self, board: Board, every: float) -> None:
        self._board = board
        self._every = every
        self._told = wire.dumps(progress_answer(board)) if not shown(board) else b""
        self._due = 0.0

    def news(self, now: float) -> bytes:
        if not self._every or now < self._due:
            return b""
        answer = progress_answer(self._board)
        if (body := wire.dumps(answer)) == self._told:
            return b""
        self._told, self._due = body, now + self._every
        head = {"machine_id": self._board.machine_id, "kind": "progress", "at": self._board.clock.now()}
        return b"event: progress\ndata: " + wire.dumps({**head, "data": answer}) + b"\n\n"


def _seconds(text: str) -> float | None:
    """A number of seconds; PROGRESS when there is none, None when it is no such number."""
    try:
        seconds = float(text) if text else PROGRESS
    except ValueError:
        return None
    return (max(seconds, PROGRESS) if seconds else 0.0) if 0 <= seconds < math.inf else None


async def _within(queue: Listening, seconds: float) -> tuple[Envelope, ...] | None:
    """What is told next; None when nothing is, in so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await queue.get()
    except TimeoutError:
        return None


def _sse(envelope: Envelope) -> bytes:
    body = {
        "machine_id": envelope.machine_id,
        "epoch": envelope.epoch,
        "seq": envelope.seq,
        "kind": envelope.event.kind,
        "at": envelope.at,
        "digest": envelope.digest,
        "data": envelope.event,
    }
    head = f"id: {envelope.epoch}-{envelope.seq}\nevent: {envelope.event.kind}\ndata: "
    return head.encode() + wire.dumps(body) + b"\n\n"


def _answer(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=wire.dumps(body), status=status, content_type="application/json")


@asynccontextmanager
async def serving(control: Control, path: Path, tcp: tuple[str, int] | None) -> AsyncIterator[None]:
    """Listen while the block runs. The caller holds the state directory's lock, so a socket found here is stale.

    Raises BadSetting when the path is too long for a socket or the TCP port cannot be had.
    """
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise BadSetting(
            name="MODEL_MANAGER_STATE_DIR",
            why=f"{path} is longer than the {SOCKET_PATH_LIMIT} bytes of a socket's path",
            fix="Choose a shorter directory.",
        )
    async with contextlib.AsyncExitStack() as stack:
        local = await _started(stack, [*control.reading(), *control.acting()], ())
        path.unlink(missing_ok=True)
        mask = os.umask(0o117)
        try:
            await web.UnixSite(local, str(path)).start()
        finally:
            os.umask(mask)
        stack.callback(path.unlink, missing_ok=True)
        if tcp:
            await _listen(await _started(stack, control.reading(), (_no_foreign_host(tcp[0]),)), *tcp)
        yield


async def _started(stack: contextlib.AsyncExitStack, routes: list[web.RouteDef], middlewares: Any) -> web.AppRunner:
    app = web.Application(middlewares=middlewares, client_max_size=65_536)
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, keepalive_timeout=30)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise BadSetting(
            name="MODEL_MANAGER_HTTP_PORT",
            why=f"{host}:{port} cannot be listened on ({error.strerror})",
            fix="Choose a free port.",
        ) from None


def _no_foreign_host(bound: str) -> Any:
    """Refuse requests whose Host is a name that we were not bound to: DNS rebinding reads nothing here."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = request.host.rsplit(":", 1)[0].strip("[]")
        if name not in (bound, "localhost") and not _is_address(name):
            return _answer({"error": "this host name is not served here; ask by address"}, 403)
        return await handler(request)

    return check


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
