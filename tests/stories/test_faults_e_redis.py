"""Redis away, hung, empty, full, closed or loading: the machine serves on, and tells everything once and in order later."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from model_manager.facts.disk import Diff
from model_manager.facts.event import DiskLow
from model_manager.facts.identity import MachineId
from model_manager.index.store import Store
from tests.bus.servers import Server
from tests.stories.machine import Machine, Sampler, catalog, record, safetensors, sha256, workflow
from tests.stories.origin import FaultyOrigin
from tests.stories.reader import Reader, converged, settled, stored

NAMES = ("base", "vae", "lora")
DATA = {name: safetensors(300_000 + seed, seed) for seed, name in enumerate(NAMES)}
FILES = {name: f"checkpoints/{name}.safetensors" for name in NAMES}
PASSWORD = "CANARYpasswordCANARY"


@dataclass
class Scene:
    machine: Machine
    server: Server
    origin: FaultyOrigin
    reader: Reader
    sampler: Sampler

    @property
    def client(self) -> redis.Redis:
        return self.server.client()

    def redis(self) -> dict[str, str]:
        """What /status says of Redis."""
        said: dict[str, str] = self.machine.status()["redis"]
        return said

    async def until_redis(self, state: str, why: str = "", at_most: float = 20.0) -> None:
        await self.machine.until(
            lambda: self.redis()["state"] == state and why in self.redis()["reason"], f"redis {state}: {why}", at_most
        )

    async def converged(self, at_most: float = 30.0) -> None:
        await converged(self.machine, self.reader, self.client, at_most)

    async def assign(self, *workflows: str) -> None:
        """A changed assignment file, taken up."""
        (self.machine.state / "assignment.json").write_text(f'{{"workflows": "{",".join(workflows)}"}}')
        await self.machine.until(
            lambda: set(workflows) <= set(self.machine.status()["assignment"]["workflows"]), "it is understood"
        )

    def drop(self, name: str) -> None:
        """A file that nobody assigned, by another program."""
        path = self.machine.store / "loras" / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(safetensors(5000, hash(name) % 1000))


Stage = Callable[..., Scene]


@pytest.fixture
async def scene_of(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> AsyncIterator[Callable[..., Scene]]:
    """A machine that is to serve `base` and `vae` through a server of its own; a further workflow wants `lora`."""
    shop = {
        "models": [record(n, origin.put(f"{n}.safetensors", DATA[n]), f"models/{FILES[n]}", DATA[n]) for n in NAMES],
        "workflows": [workflow("flux", "base", "vae"), workflow("style", "lora")],
    }
    servers: list[Server] = []
    samplers: list[Sampler] = []
    async with catalog(home / "c", shop) as url:

        def make(*options: str, **environ: str) -> Scene:
            server = Server("valkey", *options)
            servers.append(server)
            ours = {"WORKFLOW_IDS": "flux", "MODEL_MANAGER_ALLOW_HOSTS": origin.host, "REDIS_URL": server.url}
            machine = machine_of(url, **(ours | environ))
            sampler = Sampler(machine, {FILES[name]: {sha256(DATA[name])} for name in NAMES})
            sampler.start()
            samplers.append(sampler)
            return Scene(machine, server, origin, Reader(server.client()), sampler)

        yield make
        for sampler in samplers:
            sampler.finish()
        for server in servers:
            server.close()


def waiting(index: Path) -> int:
    """Events in the outbox."""
    with closing(sqlite3.connect(index)) as database:
        found: tuple[int] = database.execute("SELECT count(*) FROM outbox").fetchone()
    return found[0]


@asynccontextmanager
async def standing(scene_of: Stage, *options: str, **environ: str) -> AsyncIterator[Scene]:
    """Ready, everything told; at the end nothing was fetched twice and nothing secret was said."""
    scene = scene_of(*options, **environ)
    scene.machine.start()
    await scene.machine.until_ready()
    await scene.converged()
    yield scene
    assert scene.machine.leaks() == []
    assert all(scene.origin.sent[f"/{name}.safetensors"] <= len(DATA[name]) for name in NAMES)


async def test_e1_absent_at_the_start_it_serves_and_tells_everything_later(scene_of: Stage) -> None:
    scene = scene_of("--appendonly", "no")
    scene.server.kill()
    scene.machine.start()
    await scene.machine.until_ready()
    await scene.until_redis("away")
    scene.drop("a")
    await scene.machine.until(lambda: scene.machine.status()["inventory"]["verified"] == 3, "the third file is known")
    scene.server.start()
    await scene.converged()
    assert scene.reader.kinds[0] == "machine.hello"
    appeared = [entry["name"] for data in scene.reader.told_of("model.appeared") for entry in data["models"]]
    assert sorted(appeared) == ["a.safetensors", "base.safetensors", "vae.safetensors"]
    assert scene.redis() == {"state": "connected", "reason": ""}


async def test_e1_gone_for_a_while_it_goes_on_and_delivers_once_and_in_order(scene_of: Stage) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    async with standing(scene_of, *options) as scene:
        before = len(scene.reader.told)
        scene.server.kill()
        await scene.assign("flux", "style")
        scene.drop("a")
        await scene.machine.until(
            lambda: scene.machine.status()["inventory"]["verified"] == 4, "both are known meanwhile"
        )
        await scene.machine.until_ready()
        await scene.until_redis("away", "Connection refused")
        (scene.machine.store / "loras/a.safetensors").unlink()
        await scene.machine.until(lambda: scene.machine.status()["inventory"]["models"] == 3, "that one is gone again")
        scene.server.start()
        await scene.converged()
        assert len(scene.reader.resyncs) == 1, "the one at the beginning"
        assert "inventory.snapshot" not in scene.reader.kinds[before:]
        assert scene.reader.told_of("model.vanished") != []


async def test_e1_a_restart_while_it_is_away_loses_no_event(scene_of: Stage) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    async with standing(scene_of, *options) as scene:
        scene.server.kill()
        await scene.assign("flux", "style")
        await scene.machine.until(lambda: scene.machine.status()["inventory"]["verified"] == 3, "fetched meanwhile")
        scene.machine.kill()
        await scene.machine.exited()
        scene.machine.start()
        await scene.machine.until_ready()
        await scene.machine.stop()
        scene.machine.start()
        await scene.machine.until_ready()
        scene.server.start()
        await scene.converged()
        assert [kind for kind in scene.reader.kinds if kind.startswith("machine.")] == [
            "machine.hello", "machine.hello", "machine.bye", "machine.hello",
        ]  # fmt: skip
        assert len(scene.reader.told_of("model.download.verified")) == 3


async def test_e1_the_outbox_of_an_endless_outage_is_bounded_and_ends_in_a_snapshot(scene_of: Stage) -> None:
    async with standing(scene_of, "--appendonly", "yes", "--appendfsync", "always") as scene:
        assert await scene.machine.stop() == 0
        scene.server.kill()
        index = scene.machine.state / "index.sqlite"
        before = Store(str(index))
        before.open()
        before.begin_epoch(0, MachineId.parse("m1"))
        before.apply(Diff(), [DiskLow(root="/", free=n, floor=1) for n in range(6000)], at="2026-01-02T03:04:05Z")
        before.close()
        scene.drop("a")
        scene.machine.start()
        await scene.machine.until_ready()
        await scene.until_redis("away")
        await scene.machine.until(lambda: waiting(index) < 100, "the outbox is compacted")
        scene.server.start()
        await scene.machine.until(lambda: settled(scene.machine, scene.reader, scene.client), "it has converged")
        assert scene.reader.told_of("disk.low") == []
        assert "inventory.snapshot" in scene.reader.kinds


async def test_e1_the_embedded_server_is_killed_and_comes_back(scene_of: Stage) -> None:
    scene = scene_of(REDIS_URL="")
    scene.machine.start()
    await scene.machine.until_ready()
    embedded = redis.Redis(unix_socket_path=str(scene.machine.state / "redis/valkey.sock"), protocol=2)
    reader = Reader(embedded)
    await converged(scene.machine, reader, embedded)
    pid = embedded.info("server")["process_id"]
    embedded.shutdown(nosave=True)
    scene.drop("a")
    await scene.machine.until_said("starting Valkey again")
    await converged(scene.machine, reader, embedded)
    assert embedded.info("server")["process_id"] != pid
    assert scene.machine.ready()


@pytest.mark.parametrize("seconds", [3, pytest.param(25, marks=pytest.mark.slow)])
async def test_e2_a_hung_server_stops_nothing_and_nothing_is_doubled(scene_of: Stage, seconds: int) -> None:
    async with standing(scene_of) as scene:
        scene.server.freeze()
        frozen = time.monotonic()
        scene.drop("a")
        await scene.assign("flux", "style")
        await scene.machine.until(lambda: FILES["lora"] in scene.machine.files(), "fetched meanwhile")
        slowest = 0.0
        while time.monotonic() < frozen + seconds:
            asked = time.monotonic()
            assert (await asyncio.to_thread(scene.machine.ask, "/ready"))[0] in (200, 503)
            slowest = max(slowest, time.monotonic() - asked)
            await asyncio.sleep(0.05)
        assert slowest < 2.0
        if seconds > 10:
            await scene.until_redis("away", "in time")
        scene.server.thaw()
        await scene.converged()


async def test_e1_a_quiet_machine_says_that_it_is_away_and_back(scene_of: Stage) -> None:
    async with standing(scene_of, "--appendonly", "yes", "--appendfsync", "always") as scene:
        scene.server.kill()
        await scene.until_redis("away", "Connection refused", at_most=5)
        assert any("Connection refused" in problem for problem in scene.machine.status()["problems"])
        scene.server.start()
        await scene.until_redis("connected", at_most=5)
        await scene.converged()


async def test_e2_a_start_beside_a_hung_server_opens_the_gate(scene_of: Stage) -> None:
    scene = scene_of()
    scene.server.freeze()
    scene.machine.start()
    await scene.machine.until_ready(at_most=9)
    scene.server.thaw()
    await scene.converged()


async def test_e4_a_flushed_server_is_filled_again_within_a_heartbeat(scene_of: Stage) -> None:
    async with standing(scene_of) as scene:
        scene.client.flushall()
        flushed = time.monotonic()
        while stored(scene.client)[0] is None:
            assert time.monotonic() < flushed + 20, "its heartbeat is 0.5 s, and nothing else makes it look"
            await asyncio.sleep(0.01)
        scene.reader = Reader(scene.client)
        await scene.machine.until(lambda: stored(scene.client)[1] != {}, "the inventory is back")
        scene.reader.read()
        assert scene.reader.kinds[0] == "inventory.snapshot"


async def test_e5_a_full_server_is_said_and_caught_up_with(scene_of: Stage) -> None:
    async with standing(scene_of) as scene:
        scene.client.config_set("maxmemory", "1")
        scene.drop("a")
        await scene.until_redis("away", "out of memory")
        assert scene.machine.ready()
        assert scene.client.hget("machine:m1:model_manager", "ready") == b"1"
        scene.client.config_set("maxmemory", "0")
        await scene.converged()


async def test_e5_a_server_whose_own_disk_fails_is_said_and_caught_up_with(scene_of: Stage) -> None:
    async with standing(scene_of, "--save", "3600 1", "--dbfilename", "dump") as scene:
        obstacle = scene.server.directory / "dump"
        obstacle.mkdir()
        scene.client.bgsave()
        await scene.machine.until(lambda: scene.client.info("persistence")["rdb_last_bgsave_status"] == "err", "fails")
        scene.drop("a")
        await scene.until_redis("away", "MISCONF")
        obstacle.rmdir()
        scene.client.bgsave()
        await scene.converged()


async def test_e6_functions_that_are_gone_are_loaded_again(scene_of: Stage) -> None:
    async with standing(scene_of) as scene:
        scene.client.function_flush()
        scene.drop("a")
        await scene.converged()
        assert scene.redis()["state"] == "connected"


async def test_e6_a_replica_takes_nothing_and_a_primary_everything(scene_of: Stage) -> None:
    async with standing(scene_of) as scene:
        scene.client.replicaof("127.0.0.1", "1")
        scene.drop("a")
        await scene.until_redis("away", "read-only replica")
        scene.client.replicaof("NO", "ONE")
        await scene.converged()


async def test_e6_a_server_that_is_still_loading_is_waited_for(scene_of: Stage) -> None:
    async with standing(
        scene_of, "--key-load-delay", "3000", "--loading-process-events-interval-bytes", "1024"
    ) as scene:
        with scene.client.pipeline(transaction=False) as pipe:
            for number in range(500):
                pipe.set(f"other:{number}", "x" * 100)
            pipe.execute()
        scene.client.save()
        scene.server.kill()
        scene.drop("a")
        loading = threading.Thread(target=scene.server.start)
        loading.start()
        try:
            await scene.until_redis("away", "still loading")
            assert scene.machine.ready()
        finally:
            await asyncio.to_thread(loading.join, 30)
        await scene.converged()


async def test_e6_a_server_busy_with_a_script_is_waited_for(scene_of: Stage) -> None:
    async with standing(scene_of, "--busy-reply-threshold", "50") as scene:
        with endless_script(scene.server):
            scene.drop("a")
            await scene.until_redis("away", "BUSY")
            assert scene.machine.ready()
        await scene.converged()


@contextmanager
def endless_script(server: Server) -> Iterator[None]:
    def run() -> None:
        with pytest.raises(redis.ResponseError):
            server.client().eval("while true do end", 0)

    running = threading.Thread(target=run)
    running.start()
    try:
        yield
    finally:
        while running.is_alive():
            try:
                server.client().script_kill()
            except redis.ResponseError:
                time.sleep(0.05)
            running.join(0.1)


async def test_e7_a_changed_password_is_said_without_it_and_mends(scene_of: Stage) -> None:
    scene = scene_of()
    user = ("on", f">{PASSWORD}", "~*", "&*", "+@all")
    scene.client.execute_command("ACL", "SETUSER", "agent", *user)
    scene.machine.environ["REDIS_URL"] = f"unix://agent:{PASSWORD}@{scene.server.socket}"
    scene.machine.start()
    await scene.machine.until_ready()
    await scene.converged()
    scene.client.execute_command("ACL", "SETUSER", "agent", "resetpass", ">another")
    scene.client.client_kill_filter(_type="normal", skipme=True)
    scene.drop("a")
    await scene.until_redis("away", "does not accept the user or the password")
    assert scene.machine.ready()
    scene.client.execute_command("ACL", "SETUSER", "agent", "resetpass", f">{PASSWORD}")
    await scene.converged()
    assert PASSWORD not in scene.machine.log() + str(scene.machine.status())
    assert await scene.machine.stop() == 0
    assert [
        path for path in scene.machine.state.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()
    ] == []


async def test_e7_rights_that_are_taken_away_are_named_and_mend(scene_of: Stage) -> None:
    scene = scene_of()
    scene.client.execute_command("ACL", "SETUSER", "agent", "on", f">{PASSWORD}", "~*", "&*", "+@all")
    scene.machine.environ["REDIS_URL"] = f"unix://agent:{PASSWORD}@{scene.server.socket}"
    scene.machine.start()
    await scene.machine.until_ready()
    await scene.converged()
    scene.client.execute_command("ACL", "SETUSER", "agent", "-fcall")
    scene.drop("a")
    await scene.until_redis("away", "docs/redis.md")
    scene.client.execute_command(
        "ACL",
        "SETUSER",
        "agent",
        "+fcall",
        "resetkeys",
        "~machine:*",
        "~models:index:*",
        "~model_manager:alive",
        "~routing",
        "~routing:*",
    )
    scene.drop("b")
    await scene.until_redis("away", "docs/redis.md")
    scene.client.execute_command("ACL", "SETUSER", "agent", "~model_manager:events")
    await scene.converged()
    assert PASSWORD not in scene.machine.log()


async def test_e7_authentication_that_is_required_all_at_once_is_said_and_mends(scene_of: Stage) -> None:
    async with standing(scene_of) as scene:
        admin = scene.client
        admin.config_set("requirepass", PASSWORD)
        admin.client_kill_filter(_type="normal", skipme=True)
        scene.drop("a")
        await scene.until_redis("away", "does not accept the user or the password")
        admin.config_set("requirepass", "")
        await scene.converged()
