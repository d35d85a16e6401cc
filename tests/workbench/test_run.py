from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from model_manager.agent.run import Surroundings
from model_manager.agent.run import run as run_agent
from model_manager.errors import AlreadyRunning, BadSetting
from model_manager.facts.event import InventorySnapshot, MachineHello, ModelAppeared, ModelVanished
from model_manager.facts.identity import MachineId
from model_manager.index.index import Index
from model_manager.library.lock import hold
from model_manager.library.markers import mark
from model_manager.workbench import run as module
from model_manager.workbench.run import workbench
from tests.workbench.making import put, settings, tree


async def test_i1_while_an_agent_has_the_state_directory_nobody_else_does(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    lock, what = str(tmp_path / "state" / "lock"), f"The state directory {tmp_path / 'state'}"
    with hold(lock, what), pytest.raises(AlreadyRunning) as raised:
        async with workbench(settings(tmp_path)):
            raise AssertionError("two of them work")
    assert str(os.getpid()) in str(raised.value)
    assert "Stop the other one" in str(raised.value)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["lock"]


async def test_i1_while_a_workbench_has_it_neither_another_one_nor_an_agent_begins(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    mine = settings(tmp_path, MODEL_MANAGER_STORE=str(tmp_path / "models"), REDIS_URL="redis://127.0.0.1:1")
    async with workbench(mine):
        with pytest.raises(AlreadyRunning):
            async with workbench(mine):
                raise AssertionError("two of them work")
        with pytest.raises(AlreadyRunning):
            await run_agent(mine, Surroundings(catalog_url="http://127.0.0.1:1", load=lambda: mine))
    async with workbench(mine) as bench:
        assert await bench.sync()


async def test_a_state_directory_that_cannot_be_made_is_a_setting_to_correct(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(BadSetting, match="MODEL_MANAGER_STATE_DIR"):
        async with workbench(settings(tmp_path)):
            raise AssertionError("it works")


async def test_what_it_did_waits_for_an_agent_in_the_order_in_which_it_happened(tmp_path: Path) -> None:
    async with workbench(settings(tmp_path)) as bench:
        await bench.tracking.add(str(tree(tmp_path)))
        await bench.sync()
    async with Index.open(tmp_path / "state" / "index.sqlite") as index:
        waiting = await index.outbox(1000)
    assert isinstance(waiting[0].event, MachineHello)
    assert [envelope.seq for envelope in waiting] == list(range(1, len(waiting) + 1))
    assert sum(len(envelope.event.models) for envelope in waiting if isinstance(envelope.event, ModelAppeared)) == 3


async def test_a_person_without_settings_speaks_under_the_name_of_the_agent_and_drops_nothing_of_its(
    tmp_path: Path,
) -> None:
    async with workbench(settings(tmp_path, MACHINE_ID="gpu-7")) as bench:
        await bench.tracking.add(str(tree(tmp_path)))
        await bench.sync(read=False)
    async with workbench(settings(tmp_path)) as bench:
        assert bench.board.machine_id == "gpu-7"
        waiting = await bench.index.outbox(1000)
    assert {envelope.machine_id for envelope in waiting} == {"gpu-7"}
    assert [type(envelope.event) for envelope in waiting].count(MachineHello) == 2
    async with workbench(settings(tmp_path, MACHINE_ID="other")) as bench:
        assert bench.board.machine_id == "other"


async def test_promise_3_a_shell_without_the_agents_settings_forgets_nothing_that_it_holds(tmp_path: Path) -> None:
    """The agent's store is named by its own environment, of which the shell of a person knows nothing."""
    store = tmp_path / "models"
    put(store, "loras/a.safetensors")
    mark(str(store))
    async with workbench(settings(tmp_path, MODEL_MANAGER_STORE=str(store))) as agents:
        await agents.sync()
    async with workbench(settings(tmp_path)) as bench:
        found = await bench.sync()
        assert (found.total, found.removed, found.errors) == (1, 0, 0)
        assert [each.path for each in await bench.tracking.all()] == [str(store)]
        told = [envelope.event for envelope in await bench.index.outbox(1000)]
    assert not [event for event in told if isinstance(event, ModelVanished)]


async def test_c10_the_store_of_an_agent_that_is_not_mounted_is_away_for_a_shell_too(tmp_path: Path) -> None:
    store = tmp_path / "models"
    put(store, "loras/a.safetensors")
    async with workbench(settings(tmp_path, MODEL_MANAGER_STORE=str(store))) as agents:
        await agents.sync()
    store.rename(tmp_path / "unmounted")
    store.mkdir()
    async with workbench(settings(tmp_path)) as bench:
        found = await bench.sync()
    assert (found.total, found.removed, found.errors) == (1, 0, 1)
    assert list(store.iterdir()) == []


async def test_a_tree_that_is_only_tracked_is_never_written_to(tmp_path: Path) -> None:
    nas = tree(tmp_path)
    before = sorted((path, path.stat().st_mtime_ns) for path in nas.rglob("*"))
    async with workbench(settings(tmp_path)) as bench:
        await bench.tracking.add(str(nas))
        await bench.sync()
        await bench.verify()
    assert sorted((path, path.stat().st_mtime_ns) for path in nas.rglob("*")) == before


async def test_more_than_an_agent_would_want_to_hear_becomes_one_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP", 2)
    async with workbench(settings(tmp_path)) as bench:
        await bench.tracking.add(str(tree(tmp_path)))
        await bench.sync()
    async with Index.open(tmp_path / "state" / "index.sqlite") as index:
        (only,) = await index.outbox(1000)
    assert isinstance(only.event, InventorySnapshot)
    assert only.event.models == 3


async def test_c11_a_damaged_index_is_rebuilt_with_the_directories_of_the_person(tmp_path: Path) -> None:
    async with workbench(settings(tmp_path)) as bench:
        await bench.tracking.add(str(tree(tmp_path)))
        await bench.sync()
    for path in (tmp_path / "state").glob("index.sqlite*"):
        path.write_bytes(os.urandom(20_000))
    async with workbench(settings(tmp_path)) as bench:
        found = await bench.sync()
    assert (found.total, found.added, found.hashes_calculated) == (3, 3, 3)


async def test_an_epoch_of_a_later_agent_is_above_that_of_the_workbench(tmp_path: Path) -> None:
    async with workbench(settings(tmp_path, MACHINE_ID="m1")) as bench:
        epoch = bench.board.epoch
    async with Index.open(tmp_path / "state" / "index.sqlite") as index:
        assert (await index.begin_epoch(0, MachineId("m1"))).epoch == epoch + 1
        assert [envelope.epoch for envelope in await index.outbox(10)] == [epoch]
    with closing(sqlite3.connect(tmp_path / "state" / "index.sqlite")) as connection:
        assert connection.execute("SELECT machine_id FROM identity").fetchone() == ("m1",)
