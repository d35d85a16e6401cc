from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import model_manager
from model_manager.bus import functions
from model_manager.bus.connection import connect
from model_manager.bus.following import Follower
from model_manager.bus.grouping import Group
from model_manager.bus.keys import KEYS, Keys
from model_manager.bus.leases import Leases
from model_manager.bus.mirroring import Mirrors
from model_manager.bus.publishing import Bus, Delivered
from model_manager.bus.tailing import history
from model_manager.decisions.folding import fold
from model_manager.facts.event import Entry, Gone, Known
from model_manager.facts.identity import MachineId
from tests.bus.servers import Server
from tests.bus.telling import entry, insist
from tests.bus.test_assignments import first
from tests.bus.test_publishing import introduced

DOCS = Path(model_manager.__file__).parent.parent / "docs"
REDIS = (DOCS / "redis.md").read_text()
EVENTS = (DOCS / "events.md").read_text()


def rows(page: str, heading: str) -> list[tuple[str, ...]]:
    """The cells of the table below a heading."""
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines]


def test_the_page_lists_every_key_as_it_is() -> None:
    assert rows(REDIS, "Keys") == [(f"`{k.pattern}`", k.type, k.writer, k.reader, k.lifetime) for k in KEYS]


def test_the_page_lists_every_function() -> None:
    assert {name for name, _ in rows(REDIS, "Functions")} == {f"`mm_{part}`" for part in functions.PARTS[1:]}


def test_the_page_lists_every_kind_with_its_fields() -> None:
    expected = []
    for kind in Known.__args__:
        named = [field.name for field in fields(kind) if field.name != "kind"]
        expected.append((f"`{kind.__dataclass_fields__['kind'].default}`", ", ".join(f"`{name}`" for name in named)))
    assert rows(EVENTS, "Kinds") == expected


def test_the_pages_name_every_field_of_an_entry() -> None:
    listed = ", ".join(f"`{field.name}`" for field in fields(Entry))
    assert listed in EVENTS.replace("\n", " ")
    assert listed in REDIS.replace("\n  ", " ")
    assert "list of " + ", ".join(f"`{field.name}`" for field in fields(Gone)) in EVENTS


def test_every_key_has_a_name_of_its_own_behind_the_prefix() -> None:
    keys = Keys("{pool}:")
    of_machine = (keys.models, keys.inventory, keys.names, keys.scan_status, keys.lease, keys.progress, keys.assignment)
    names = [*(key(MachineId("m1")) for key in of_machine), keys.index("a.pt"), keys.events, keys.alive]
    patterns = [re.escape(k.pattern).replace(r"\{machine_id\}", "m1").replace(r"\{model_name\}", "a.pt") for k in KEYS]
    assert sorted(names) == sorted("{pool}:" + pattern.replace("\\", "") for pattern in patterns)


async def test_the_rights_on_the_page_are_enough_for_all_that_an_agent_does(own: Server) -> None:
    admin = connect(own.url)
    for line in re.findall(r"^ACL SETUSER .*$", REDIS, re.MULTILINE):
        await admin.execute_command(*line.split())
    redis = connect(f"unix://model-manager:secret@{own.socket}")
    bus = Bus(redis, MachineId("m1"), "here", "", 100, 0.001)
    teller = await introduced(bus, entry("a.pt"), entry("b.pt"))
    assert isinstance(await bus.beat(teller.beat(), {}), Delivered)
    teller.vanish(entry("a.pt"))
    assert isinstance(await bus.publish(teller.outbox), Delivered)
    await insist(admin, teller)
    await bus.scan_status({"phase": "idle"})
    await bus.progress([])
    assert len(await history(redis, bus.keys)) == 3
    assert await first(redis) is None
    while not await bus.reap():
        pass
    assert await bus.bye(teller.bye())
    for refused in ("GET", "worker:1"), ("SET", "job:1", "x"), ("CONFIG", "GET", "*"), ("FLUSHALL",), ("KEYS", "*"):
        assert "NoPermission" in str(await _refusal(redis, refused))
    await redis.aclose()
    await admin.aclose()


async def test_the_rights_of_a_reader_are_enough_to_follow_and_change_nothing(own: Server) -> None:
    admin = connect(own.url)
    for line in re.findall(r"^ACL SETUSER .*$", REDIS, re.MULTILINE):
        await admin.execute_command(*line.split())
    bus = Bus(admin, MachineId("m1"), "here", "", 100, 60.0)
    teller = await introduced(bus, entry("a.pt"))
    await bus.beat(teller.beat(), {})
    redis = connect(f"unix://model-manager-reader:secret@{own.socket}")
    mirrors, leases = Mirrors(redis, bus.keys, fold), Leases(redis, bus.keys)
    batch = await anext(Follower(redis, bus.keys, await mirrors.start(), block_ms=0).batches())
    await mirrors.take(batch.told)
    await mirrors.audit()
    assert set(mirrors.who_has(name="a.pt")) == {"m1"}
    assert (await leases.look()).leases["m1"].alive
    assert await leases.progress(["m1"]) == {}
    assert await leases.orphans() == ()
    async with Group(redis, bus.keys, "indexers", "one").take() as taken:
        assert len(taken.told) == 2
    for refused in (
        ("HSET", bus.keys.models("m1"), "a", "b"),
        ("DEL", bus.keys.events),
        ("ZADD", bus.keys.alive, "1", "m1"),
    ):
        assert "NoPermission" in str(await _refusal(redis, refused))
    assert "NoPermission" in str(await _refusal(redis, ("HGETALL", "worker:1")))
    await redis.aclose()
    await admin.aclose()


async def _refusal(redis: object, command: tuple[str, ...]) -> str:
    from redis.exceptions import RedisError

    try:
        await redis.execute_command(*command)  # type: ignore[attr-defined]
    except RedisError as error:
        return type(error).__name__
    return "allowed"
