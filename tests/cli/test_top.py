from __future__ import annotations

import asyncio
import io
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from model_manager.bus.connection import connect
from model_manager.bus.publishing import Bus
from model_manager.cli.choosing import Choice
from model_manager.cli.top import Told, picture
from model_manager.facts.identity import MachineId
from tests.bus.servers import Server
from tests.cli.conftest import Call
from tests.cli.fleetful import Fleetful
from tests.cli.terminal import BACK, Terminal
from tests.fleet.stage import Player, files


@pytest.fixture(scope="module")
def fleetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleetful]:
    with Fleetful(tmp_path_factory.mktemp("state")) as fleet:
        yield fleet


def test_in_a_pipe_it_is_shown_once(call: Call, fleetful: Fleetful, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = call("top", "--url", fleetful.url)
    assert code == 0
    assert out.startswith("2 live, 0 stale, 0 away · 1 ready · 1 of 1 workflows served · 2 models, 4.50 MB\n")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["machine", "m2", "m1"]
    monkeypatch.setenv("REDIS_URL", fleetful.redis)
    assert call("top")[1].splitlines()[0] == out.splitlines()[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_a_terminal_it_is_drawn_until_a_signal_ends_it(fleetful: Fleetful, tmp_path: Path, number: int) -> None:
    with Terminal(tmp_path, "top", "--every", "0.2", "--url", fleetful.url) as terminal:
        terminal.until("m2")
        terminal.process.send_signal(number)
        assert (terminal.ended(), terminal.put_back) == (0, True)


def test_a_terminal_of_another_size_is_drawn_anew_at_once(fleetful: Fleetful, tmp_path: Path) -> None:
    with Terminal(tmp_path, "top", "--every", "60", "--url", fleetful.url, size=(100, 20)) as terminal:
        terminal.until("version")
        for width, height, shown in ((40, 10, "s: by ne"), (200, 50, "why"), (80, 24, "free")):
            terminal.resize(width, height)
            terminal.process.send_signal(signal.SIGWINCH)
            terminal.until(shown, lines=height)
            assert max(map(len, terminal.screen)) <= width
        terminal.press("q")
        assert (terminal.ended(), terminal.put_back) == (0, True)


def test_e1_a_redis_that_is_away_at_the_start_and_later_is_waited_for(tmp_path: Path) -> None:
    server = Server("valkey", "--appendonly", "yes", "--appendfsync", "always")
    server.kill()
    try:
        with Terminal(tmp_path, "top", "--every", "0.2", environ={"REDIS_URL": server.url}) as terminal:
            terminal.until("Redis is not available")
            server.start()
            terminal.until("0 live")
            asyncio.run(introduce(server.url))
            terminal.until("1 live")
            server.kill()
            terminal.until("as of")
            server.start()
            terminal.until("m1")
            terminal.until("1 live")
            terminal.press("q")
            assert (terminal.ended(), terminal.put_back) == (0, True)
    finally:
        server.close()


async def introduce(url: str) -> None:
    redis = connect(url)
    player = Player(redis, "m1")
    player.bus = Bus(redis, MachineId("m1"), "here", "", 10_000, lease=3_600.0)
    await player.begin(*files("a.safetensors"), flux=True)
    await redis.aclose()


@pytest.mark.parametrize("key", ["q", "\x03"])
def test_who_asks_somebody_silent_sees_whom_and_may_leave(tmp_path: Path, key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        for asked, environ in ((["--url", f"http://{address}"], {}), ([], {"REDIS_URL": f"redis://{address}"})):
            with Terminal(tmp_path, "top", *asked, environ=environ) as terminal:
                terminal.until("asking")
                if key == "q":
                    terminal.press(key)
                else:
                    terminal.process.send_signal(signal.SIGINT)
                assert (terminal.ended(), terminal.put_back) == (0, True)


def test_a_setting_that_is_missing_is_said_on_the_terminal_that_was_before(tmp_path: Path) -> None:
    with Terminal(tmp_path, "top") as terminal:
        assert terminal.ended() == 78
        assert b"REDIS_URL" in terminal.seen.rpartition(BACK)[2]


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_terminal_that_cannot_draw_is_shown_it_once(
    fleetful: Fleetful, tmp_path: Path, environ: dict[str, str]
) -> None:
    with Terminal(tmp_path, "top", "--url", fleetful.url, environ=environ) as terminal:
        assert terminal.ended() == 0
        assert b"m2" in terminal.seen
        assert b"\x1b" not in terminal.seen


def test_without_colours_none_are_drawn(fleetful: Fleetful, tmp_path: Path) -> None:
    with Terminal(tmp_path, "top", "--url", fleetful.url, environ={"NO_COLOR": "1"}) as terminal:
        terminal.until("m2")
        terminal.press("q")
        assert terminal.ended() == 0
        assert not re.search(rb"\x1b\[[0-9;]*(3|4|9|10)[0-7][;m]", terminal.seen)


MACHINE = {
    "state": "live", "phase": "ready", "ready": True, "models": 1, "required": 1, "present": 1, "workflows": 1,
    "workflows_ready": 1, "downloads": 0, "free": None, "last_seen": None, "version": "", "reasons": [], "unsure": "",
    "speed": 0.0, "eta": None, "host": "",
}  # fmt: skip
FLEET = {
    "exact": True, "redis": {"away": None, "age": 0, "lag_entries": 0, "lag_seconds": 0},
    "machines": {"live": 30, "stale": 0, "away": 0, "ready": 30, "unsure": 0},
    "models": {"distinct": 1, "bytes": 1}, "workflows": {"assigned": 1, "ready": 1},
    "downloads": {"running": 0, "speed": 0.0},
}  # fmt: skip


def drawn(choice: Choice, width: int, height: int, count: int = 30) -> list[str]:
    machines = [MACHINE | {"machine_id": f"m{number:02}"} for number in range(count)]
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(picture(Told(FLEET, machines), choice, width, height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 160])
def test_a_low_terminal_shows_a_part_and_says_of_how_many(width: int) -> None:
    lines = drawn(Choice(), width, 15)
    assert len(lines) < 15
    assert all(len(line) <= width for line in lines)
    assert lines[-1].startswith("1-10 of 30")


def test_a_part_that_is_scrolled_to_leaves_no_line_empty() -> None:
    assert drawn(Choice(first=8), 80, 15)[2].startswith("m08")
    lines = drawn(Choice(first=500), 80, 15)
    assert (lines[2].split()[0], lines[-2].split()[0]) == ("m20", "m29")
    assert lines[-1].startswith("21-30 of 30")


def test_what_is_filtered_says_so_also_when_nothing_is_left() -> None:
    assert drawn(Choice(text="m07"), 80, 15)[-1].startswith("1-1 of 1 with 'm07' (Esc shows all)")
    assert drawn(Choice(text="nobody"), 80, 15)[-1].startswith("none with 'nobody'")
    assert drawn(Choice(text="m\x1b", typing=True), 80, 15)[-1].startswith("/m\\x1b_")


def test_keys_order_filter_and_leave_and_the_terminal_is_as_before(fleetful: Fleetful, tmp_path: Path) -> None:
    with Terminal(tmp_path, "top", "--every", "60", "--url", fleetful.url) as terminal:
        for told, key in (
            ("by need", "s"),
            ("by machine", "/m2"),
            ("/m2_", "\r"),
            ("1-1 of 1", "\x1b"),
            ("1-2 of 2", "q"),
        ):
            terminal.until(told)
            terminal.press(key)
        assert (terminal.ended(), terminal.put_back) == (0, True)
