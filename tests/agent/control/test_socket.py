from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from model_manager.agent.assignment.analyzing import Analyzing
from model_manager.agent.control import socket as module
from model_manager.agent.control.socket import Control, serving
from model_manager.agent.holdings import shelves as backlog
from model_manager.errors import BadRequest, BadSetting, DiskUnavailable, ForeignBusy
from model_manager.facts.event import RootBack, RootLost
from model_manager.facts.machine import Readiness, WorkflowReadiness
from model_manager.facts.model import Assignment, Described
from model_manager.facts.plan import Fetch, Plan
from model_manager.facts.transfer import Phase, Transfer
from model_manager.index.reading import Shop
from tests.agent.stage import Stage, model, needs, until, wanted
from tests.decisions.workflows.drawing import node, ui

OPEN = Readiness(ready=True, reasons=(), workflows=(WorkflowReadiness(name="flux dev", ready=True),), generation="g1")
CLOSED = Readiness(
    ready=False,
    reasons=("vae/a: fetching",),
    workflows=(
        WorkflowReadiness(name="w", ready=True),
        WorkflowReadiness(name="v", ready=False, reasons=("vae/a: fetching",)),
    ),
)


class Door:
    def __init__(self, scene: Stage, path: Path, port: int) -> None:
        self.scene = scene
        self.path = path
        self.port = port
        self.done: list[str] = []
        self.accepts = True

    def control(self) -> Control:
        async def reload(_: dict[str, Any]) -> dict[str, Any]:
            self.done.append("reload")
            return {"accepted": self.accepts, "reason": "" if self.accepts else "a restart is needed"}

        async def scan(asked: dict[str, Any]) -> dict[str, Any]:
            self.done.append(f"scan {asked}")
            return {"accepted": True}

        return Control(self.scene.board, self.scene.shelves, {"reload": reload, "scan": scan})

    async def ask(self, method: str, path: str, *, tcp: bool = False, **more: Any) -> tuple[int, bytes]:
        connector = None if tcp else aiohttp.UnixConnector(str(self.path))
        base = f"http://127.0.0.1:{self.port}" if tcp else "http://localhost"
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, base + path, **more) as answer,
        ):
            return answer.status, await answer.read()

    async def json(self, path: str, method: str = "GET") -> tuple[int, Any]:
        status, body = await self.ask(method, path)
        return status, json.loads(body)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@asynccontextmanager
async def opened(scene: Stage, directory: Path) -> AsyncIterator[Door]:
    door = Door(scene, directory / "control.sock", free_port())
    async with serving(door.control(), door.path, ("127.0.0.1", door.port)):
        yield door


@pytest.fixture
async def door(scene: Stage, tmp_path: Path) -> AsyncIterator[Door]:
    async with opened(scene, tmp_path) as made:
        yield made


async def test_ready_says_200_or_503_with_the_reasons(scene: Stage, door: Door) -> None:
    scene.board.readiness = CLOSED
    status, body = await door.json("/ready")
    assert (status, body["ready"], body["reasons"]) == (503, False, ["vae/a: fetching"])
    scene.board.readiness = OPEN
    status, body = await door.json("/ready")
    assert (status, body["ready"], body["generation"]) == (200, True, "g1")


async def test_each_workflow_is_asked_by_name(scene: Stage, door: Door) -> None:
    scene.board.readiness, scene.board.requirements = CLOSED, needs()
    assert (await door.json("/ready/w"))[0] == 200
    status, body = await door.json("/ready/v")
    assert (status, body["reasons"]) == (503, ["vae/a: fetching"])
    status, body = await door.json("/ready/unheard")
    assert status == 404
    assert "not assigned" in body["error"]
    scene.board.readiness = OPEN
    assert (await door.json("/ready/flux%20dev"))[0] == 200


async def test_f1_a_workflow_is_not_unassigned_before_the_assignment_is_known(door: Door) -> None:
    status, body = await door.json("/ready/w")
    assert (status, body["ready"]) == (503, False)


async def test_status_plan_and_metrics_are_answered(scene: Stage, door: Door) -> None:
    assert (await door.json("/status"))[1]["machine_id"] == "m1"
    status, body = await door.json("/plan")
    assert status == 503
    assert "ask again" in body["error"]
    scene.board.plan = Plan(generation="g1")
    assert (await door.json("/plan"))[1]["generation"] == "g1"
    status, text = await door.ask("GET", "/metrics")
    assert status == 200
    assert b"model_manager_ready 0\n" in text


async def test_an_action_is_a_post_and_says_when_it_was_refused(door: Door) -> None:
    assert (await door.json("/reload", "POST"))[0] == 200
    door.accepts = False
    status, body = await door.json("/reload", "POST")
    assert (status, body["reason"]) == (409, "a restart is needed")
    assert (await door.ask("GET", "/scan"))[0] == 405
    assert door.done == ["reload", "reload"]


async def test_k9_the_network_port_only_reads(door: Door) -> None:
    assert (await door.ask("GET", "/ready", tcp=True))[0] == 503
    assert (await door.ask("POST", "/reload", tcp=True))[0] in (404, 405)
    assert (await door.ask("POST", "/ready", tcp=True))[0] == 405
    assert door.done == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.test", 403),
        ("evil.test:80", 403),
        ("127.0.0.1.evil.test", 403),
        ("", 403),
        ("localhost:9", 503),
        ("127.0.0.1", 503),
        ("[::1]:9", 503),
        ("10.0.0.7:80", 503),
    ],
)
async def test_k9_a_foreign_host_name_reads_nothing(door: Door, host: str, status: int) -> None:
    assert (await door.ask("GET", "/ready", tcp=True, headers={"Host": host}))[0] == status


async def listening(door: Door, query: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(str(door.path))
    writer.write(f"GET /events{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b": listening\n\n")
    return reader, writer


async def test_events_are_streamed_as_they_are_told(scene: Stage, door: Door) -> None:
    reader, writer = await listening(door)
    await scene.shelves.tell(RootLost(root="/m", why="line\nbreak"))
    said = (await reader.readuntil(b"\n\n")).split(b"\r\n")[-1].decode()
    head, kind, data, *_ = said.split("\n")
    assert head == f"id: {scene.board.epoch}-1"
    assert kind == "event: root.lost"
    body = json.loads(data.removeprefix("data: "))
    assert (body["seq"], body["kind"], body["machine_id"]) == (1, "root.lost", "m1")
    assert body["data"]["why"] == "line\nbreak"
    writer.close()


def fetching(scene: Stage, have: int) -> None:
    coming = wanted(model("vae/a.safetensors", b"x" * 100))
    path = coming.model.path
    scene.board.plan = Plan(generation="g", steps=(Fetch(wanted=coming, bytes=100),))
    scene.board.transfers[path] = Transfer(shelf=path, phase=Phase.FETCHING, bytes=have, total=100)


async def progress_said(reader: asyncio.StreamReader) -> Any:
    kind, data, *_ = (await reader.readuntil(b"\n\n")).split(b"\r\n")[-1].decode().split("\n")
    assert kind == "event: progress"
    return json.loads(data.removeprefix("data: "))


async def test_how_far_everything_is_is_streamed_when_it_changes(
    scene: Stage, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRESS", 0.01)
    monkeypatch.setattr(module, "KEEP_ALIVE", 0.2)
    fetching(scene, 3)
    reader, writer = await listening(door)
    body = await progress_said(reader)
    assert (body["kind"], body["machine_id"]) == ("progress", "m1")
    assert body["data"] == (await door.json("/progress"))[1]
    assert body["data"]["transfers"][0]["bytes"] == 3
    assert await reader.readuntil(b": still here\n\n")
    fetching(scene, 4)
    assert (await progress_said(reader))["data"]["total"]["bytes"] == 4
    scene.board.transfers.clear()
    assert (await progress_said(reader))["data"]["transfers"] == []
    assert not await scene.index.outbox(10)
    writer.close()


async def test_a_listener_says_how_often_it_wants_to_hear_how_far_everything_is(
    scene: Stage, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP_ALIVE", 0.05)
    fetching(scene, 3)
    never, writer = await listening(door, "?progress=0")
    assert (await never.readuntil(b"\n\n")).endswith(b": still here\n\n")
    writer.close()
    rarely, writer = await listening(door, "?progress=1000")
    assert await progress_said(rarely)
    fetching(scene, 4)
    assert (await rarely.readuntil(b"\n\n")).endswith(b": still here\n\n")
    writer.close()


@pytest.mark.parametrize("seconds", ["x", "-1", "nan", "inf"])
async def test_a_wish_that_is_no_number_of_seconds_is_refused(door: Door, seconds: str) -> None:
    status, body = await door.json(f"/events?progress={seconds}")
    assert status == 400
    assert "seconds" in body["error"]


async def test_a_quiet_stream_is_kept_alive(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_ALIVE", 0.02)
    reader, writer = await listening(door)
    assert await reader.readuntil(b": still here\n\n")
    writer.close()


async def test_j6_a_slow_reader_is_dropped_and_the_others_hear_everything(
    scene: Stage, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "LISTENER_BACKLOG", 20)
    slow = socket.socket(socket.AF_UNIX)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(str(door.path))
    slow.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(lambda: scene.shelves._listeners)
    with scene.shelves.listening() as quick:
        for number in range(150):
            await scene.shelves.tell(RootLost(root=f"/{number}", why="x" * 50_000))
            assert len(quick.get_nowait()) == 1
        assert scene.shelves._listeners == {quick}
    assert (await door.json("/status"))[0] == 200
    slow.close()


async def test_a_listener_that_left_is_forgotten(scene: Stage, door: Door) -> None:
    _, writer = await listening(door)
    writer.close()

    async def gone() -> bool:
        await scene.shelves.tell(RootBack(root="/m"))
        return not scene.shelves._listeners

    await until(gone)


async def test_j6_garbage_and_half_open_connections_hurt_nobody(door: Door) -> None:
    for said in (b"", b"\x00\xff\r\n\r\n", b"GET", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"):
        _, writer = await asyncio.open_unix_connection(str(door.path))
        writer.write(said)
        await writer.drain()
        writer.close()
    assert (await door.json("/status"))[0] == 200


async def test_d9_a_socket_that_a_dead_agent_left_is_replaced_and_goes_with_us(scene: Stage, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with opened(scene, tmp_path) as door:
        assert (await door.json("/status"))[0] == 200
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_a_stream_ends_when_we_leave(scene: Stage, tmp_path: Path) -> None:
    async with opened(scene, tmp_path) as door:
        reader, _ = await listening(door)
        scene.board.stopping = True
        await scene.shelves.tell(RootBack(root="/m"))
        assert b"root.back" in await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 10)


async def test_a_path_that_is_too_long_for_a_socket_is_a_setting_to_correct(scene: Stage, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="MODEL_MANAGER_STATE_DIR"):
        async with serving(Control(scene.board, scene.shelves, {}), tmp_path / ("d" * 120) / "control.sock", None):
            raise AssertionError("it was served")


async def test_a_port_that_is_taken_is_a_setting_to_correct(scene: Stage, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadSetting, match="MODEL_MANAGER_HTTP_PORT"):
            async with serving(Control(scene.board, scene.shelves, {}), path, ("127.0.0.1", port)):
                raise AssertionError("it was served")
    assert not path.exists()


async def test_what_a_post_carries_reaches_what_it_asks_for(door: Door) -> None:
    assert (await door.ask("POST", "/scan", json={"a": [1]}))[0] == 200
    assert (await door.ask("POST", "/scan"))[0] == 200
    assert door.done == ["scan {'a': [1]}", "scan {}"]


@pytest.mark.parametrize("body", [b"[]", b"7", b"{", b"\xff", b'{"a": 1, "a": 2}', b"[" * 60_000])
async def test_k9_a_body_that_is_no_object_is_refused_and_does_nothing(door: Door, body: bytes) -> None:
    status, answer = await door.ask("POST", "/scan", data=body)
    assert status == 400
    assert "Send" in json.loads(answer)["error"]
    assert "catalog" not in json.loads(answer)["error"]
    assert door.done == []


async def test_k9_a_body_without_end_is_cut_off(door: Door) -> None:
    assert (await door.ask("POST", "/scan", data=b"{" + b" " * 10_000_000 + b"}"))[0] == 413
    assert door.done == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest(why="it is wrong", fix="Mend it."), 400),
        (DiskUnavailable(doing="read", path="/x", why="EIO"), 503),
        (ForeignBusy(path="/x", why="it is written"), 503),
    ],
)
async def test_a_refusal_and_a_wait_are_told_apart(scene: Stage, tmp_path: Path, error: Exception, status: int) -> None:
    async def failing(_: dict[str, Any]) -> dict[str, Any]:
        raise error

    path = tmp_path / "control.sock"
    async with serving(Control(scene.board, scene.shelves, {"import": failing}), path, None):
        door = Door(scene, path, 0)
        answered, body = await door.json("/import", "POST")
    assert (answered, body["error"]) == (status, str(error))


async def test_a_workflow_is_analyzed_on_both_doors_and_what_is_none_is_refused(scene: Stage, tmp_path: Path) -> None:
    async def describe(_: Assignment) -> Described:
        return Described()

    analyzing = Analyzing(scene.board, lambda: Shop.open(scene.state / "index.sqlite"), describe)
    control = Control(scene.board, scene.shelves, {}, analyzing)
    door = Door(scene, tmp_path / "c.sock", free_port())
    posted = json.dumps(ui(node(1, "VAELoader", "x.safetensors"))).encode() + b" " * 100_000
    async with serving(control, door.path, ("127.0.0.1", door.port)):
        for tcp in (False, True):
            status, body = await door.ask("POST", "/workflows/analyze", tcp=tcp, data=posted)
            assert (status, json.loads(body)["missing"]) == (200, 1)
            assert (await door.ask("POST", "/workflows/analyze", tcp=tcp, data=b"{}"))[0] == 422
            assert (await door.ask("POST", "/workflows/analyze", tcp=tcp))[0] == 400
            assert await door.ask("GET", "/workflows/analyze", tcp=tcp) == (200, b'{"items":[]}')
        (scene.state / "index.sqlite").rename(scene.state / "elsewhere")
        assert (await door.ask("POST", "/workflows/analyze", data=posted))[0] == 503
