"""What the aggregator keeps."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from model_manager.errors import StoreUnavailable
from model_manager.fleet.store import Claimed, Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(tmp_path / "state" / "fleet.sqlite")
    yield made
    await made.close()


async def test_a_hand_goes_before_a_service_and_is_taken_back(store: Store) -> None:
    await store.tell("loras/a.pt", "manual", {"name": "Mine"})
    await store.tell("loras/a.pt", "civitai", {"name": "Theirs", "civitai_id": "7"})
    told = store.told["loras/a.pt"]
    assert (told["name"].value, told["name"].teller, told["civitai_id"].value) == ("Mine", "manual", "7")
    await store.tell("loras/a.pt", "manual", {"name": None})
    assert store.told["loras/a.pt"]["name"].value == "Theirs"


async def test_a_whole_inventory_replaces_and_changes_add(store: Store) -> None:
    await store.claim("forge", [Claimed("loras/a.pt", 1, ""), Claimed("loras/b.pt", 2, "")], [], whole=True)
    await store.claim("forge", [Claimed("loras/c.pt", 3, "")], ["loras/a.pt"], whole=False)
    await store.claim("other", [Claimed("loras/a.pt", 1, "")], [], whole=True)
    assert {server: sorted(held) for server, held in store.claims.items()} == {
        "forge": ["loras/b.pt", "loras/c.pt"],
        "other": ["loras/a.pt"],
    }
    await store.claim("forge", [], [], whole=True)
    assert set(store.claims) == {"other"}


async def test_after_a_reset_everything_can_be_written_again_and_the_copy_has_it_all(store: Store) -> None:
    """StableQueue's own reset left a table without a column, so that every insert failed until a restart."""
    await store.tell("loras/a.pt", "manual", {"name": "Mine"})
    copy = await store.reset()
    assert store.told == {}
    with closing(sqlite3.connect(copy)) as kept:
        assert kept.execute("SELECT value FROM told").fetchall() == [('"Mine"',)]
    await store.tell("loras/a.pt", "manual", {"name": "Again"})
    assert store.told["loras/a.pt"]["name"].value == "Again"


async def test_two_aggregators_of_one_host_see_the_same(store: Store) -> None:
    other = Store(store.path)
    await store.refresh()
    await other.tell("loras/a.pt", "manual", {"name": "Mine"})
    await store.refresh()
    assert store.told["loras/a.pt"]["name"].value == "Mine"
    await other.close()


async def test_many_at_once_lose_nothing(store: Store) -> None:
    await asyncio.gather(*(store.tell(f"loras/{n}.pt", "manual", {"name": str(n)}) for n in range(50)))
    assert len(store.told) == 50


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 100, None])
async def test_what_is_no_store_is_said_and_not_replaced(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "fleet.sqlite"
    path.write_bytes(content) if content else path.mkdir()
    with pytest.raises(StoreUnavailable):
        await Store(path).refresh()
    assert path.is_dir() if content is None else path.read_bytes() == content


async def test_a_newer_store_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "fleet.sqlite")) as base:
        base.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match="a newer release wrote it"):
        await Store(tmp_path / "fleet.sqlite").refresh()


async def test_nothing_is_read_while_nobody_wrote_and_another_one_s_words_at_once(tmp_path: Path) -> None:
    ours, other = Store(tmp_path / "fleet.sqlite"), Store(tmp_path / "fleet.sqlite")
    reads = 0
    read = ours._read

    def counted(base: sqlite3.Connection) -> None:
        nonlocal reads
        reads += 1
        read(base)

    ours._read = counted  # type: ignore[method-assign]
    for _ in range(2):
        await ours.refresh()
    before = reads
    for _ in range(5):
        await ours.refresh()
    assert reads == before
    for n in range(3):
        await other.tell("loras/a.pt", "manual", {"name": f"name {n}"})
        await ours.refresh()
        assert ours.told["loras/a.pt"]["name"].value == f"name {n}"
    await ours.tell("loras/a.pt", "manual", {"name": "ours"})
    await other.refresh()
    assert other.told["loras/a.pt"]["name"].value == "ours"
    await ours.close()
    await other.close()
