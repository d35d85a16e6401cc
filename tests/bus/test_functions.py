from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakeredis import FakeAsyncRedis
from redis.asyncio import Redis

import model_manager
from model_manager.bus import functions
from model_manager.bus.connection import connect
from model_manager.bus.functions import Functions
from model_manager.bus.publishing import Bus, Delivered
from model_manager.errors import BusUnavailable
from model_manager.facts.identity import MachineId
from tests.bus.servers import Server
from tests.bus.telling import Teller, entry, insist
from tests.bus.test_publishing import introduced

REPOSITORY = Path(model_manager.__file__).parent.parent
LUA = sorted((REPOSITORY / "lua").rglob("*.lua"))


def part_of(file: Path) -> str:
    return str(file.relative_to(REPOSITORY / "lua").with_suffix(""))


async def test_e6_functions_that_were_flushed_are_loaded_again(bus: Bus, redis: Redis) -> None:
    teller = await introduced(bus)
    await redis.function_flush()
    teller.appear(entry("a.pt"))
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 3)
    await insist(redis, teller)


async def test_another_release_is_left_alone(bus: Bus, redis: Redis) -> None:
    other = "#!lua name=model_manager_000000000000\nredis.register_function('mm_beat_000000000000', function() return 1 end)"
    await redis.function_flush()
    await redis.function_load(other)
    await introduced(bus)
    assert await redis.fcall("mm_beat_000000000000", 0) == 1


async def test_loading_twice_changes_nothing(redis: Redis) -> None:
    for _ in range(2):
        await Functions(redis).load()
    assert len(await redis.function_list(f"model_manager_{functions.version()}")) == 1


async def test_e6_a_server_busy_with_a_script_is_reported_and_recovers(own: Server, own_redis: Redis) -> None:
    bus = Bus(own_redis, MachineId("m1"), "here", "", 100, 60.0)
    teller = await introduced(bus)
    await own_redis.config_set("busy-reply-threshold", "50")
    endless = connect(own.url, timeout=60)
    async with asyncio.TaskGroup() as tasks:
        script = tasks.create_task(_endless(endless))
        assert "busy" in str(await _refused(bus, teller)).lower()
        await own_redis.script_kill()
        assert await script
    assert isinstance(await bus.beat(teller.beat(), {}), Delivered)
    await endless.aclose()


async def _refused(bus: Bus, teller: Teller) -> BusUnavailable:
    async with asyncio.timeout(20):
        while True:
            try:
                await bus.beat(teller.beat(), {})
            except BusUnavailable as why:
                return why


async def _endless(redis: Redis) -> bool:
    from redis.exceptions import ResponseError

    try:
        await redis.eval("while true do end", 0)
    except ResponseError:
        return True
    return False


@pytest.mark.parametrize("file", LUA, ids=part_of)
def test_every_function_has_its_contract_on_top(file: Path) -> None:
    text = file.read_text()
    registered = re.findall(r"^register\('(\w+)'", text, re.MULTILINE)
    assert registered == ([f"mm_{file.stem}"] if part_of(file) in functions.FUNCTIONS else [])
    contract = text.split("\n\n")[0]
    if registered:
        assert contract.startswith(f"-- {registered[0]}: ")
        assert all(f"\n-- {part}" in contract for part in ("KEYS  1 ", "ARGV  ", "Returns "))


def test_every_file_is_part_of_the_library() -> None:
    assert {part_of(file) for file in LUA} == set(functions.PARTS)


def test_every_rule_is_one_file_and_every_file_of_rules_is_one() -> None:
    for file in (REPOSITORY / "lua" / "rules").glob("*.lua"):
        assert re.findall(r"^  name = '(\w+)'", file.read_text(), re.MULTILINE) == [file.stem]
        assert file.stem in functions.RULES


def test_no_script_needs_what_some_servers_lack() -> None:
    assert not re.search(r"\b(bit|struct|cmsgpack)\.\w|loadstring", functions.source())
    unguarded = functions.source().replace("if redis.set_repl then redis.set_repl(", "")
    assert "set_repl" not in unguarded


async def test_the_same_functions_run_on_fakeredis() -> None:
    redis = FakeAsyncRedis(version=(7, 2))
    bus = Bus(redis, MachineId("m1"), "here", "", 100, 60.0)
    teller = await introduced(bus, entry("a.pt"))
    teller.appear(entry("b.pt", verified=False))
    teller.vanish(entry("a.pt"))
    assert isinstance(await bus.beat(teller.beat(), {}), Delivered)
    assert await bus.publish(teller.outbox) == Delivered(teller.epoch, 4)
    await insist(redis, teller)
    assert await bus.bye(Teller.bye(teller)) == Delivered(teller.epoch, 5)


def test_a_built_package_contains_them(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    shutil.copytree(REPOSITORY / "lua", tmp_path / "lua")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "model_manager", tmp_path / "model_manager", symlinks=True, ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    (tmp_path / "README.md").write_text("x")
    build = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "build_py", "--build-lib", "out"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    built = tmp_path / "out" / "model_manager" / "lua"
    assert {str(file.relative_to(built)) for file in built.rglob("*.lua")} == {f"{part_of(file)}.lua" for file in LUA}
