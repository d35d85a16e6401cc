from __future__ import annotations

import pytest

from model_manager.catalog.storage import machines as module
from model_manager.catalog.storage.machines import Machines
from model_manager.catalog.storage.store import Store


async def test_what_a_machine_told_last_is_known_to_whoever_asks(store: Store) -> None:
    machines = Machines(store.database, store.now)
    assert await machines.told("m1") is None
    await machines.tell("m1", {"HF_TOKEN"})
    await machines.tell("m1", {"HF_TOKEN", "CIVITAI_TOKEN"})
    await machines.tell("m2", ())
    other = Machines(store.database, store.now)
    assert await other.told("m1") == frozenset({"HF_TOKEN", "CIVITAI_TOKEN"})
    assert await other.told("m2") == frozenset()


async def test_who_told_longest_ago_is_forgotten_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    times = iter(f"2026-01-01T00:00:0{n}Z" for n in range(9))
    machines = Machines(store.database, lambda: next(times))
    for each in ("m1", "m2"):
        await machines.tell(each, ())
    await machines.tell("m1", ["HF_TOKEN"])
    await machines.tell("m3", ())
    assert await machines.told("m2") is None
    assert await machines.told("m1") == frozenset({"HF_TOKEN"})
    assert await machines.told("m3") == frozenset()


async def test_the_same_again_writes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(store.database, store.now)
    await machines.tell("m1", ["HF_TOKEN"])
    monkeypatch.setattr(store.database, "writing", None)
    await machines.tell("m1", ["HF_TOKEN"])
    assert await machines.told("m1") == frozenset({"HF_TOKEN"})
