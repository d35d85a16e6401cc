from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import model_manager
from model_manager.bus import functions
from model_manager.bus.claims import Claims
from model_manager.bus.connection import connect
from model_manager.bus.following import Follower
from model_manager.bus.grouping import Group
from model_manager.bus.jobs import Jobs
from model_manager.bus.keys import KEYS, Keys
from model_manager.bus.leases import Leases
from model_manager.bus.mirroring import Mirrors
from model_manager.bus.orders import ordered, send, settle
from model_manager.bus.publishing import Bus, Delivered
from model_manager.bus.replies import replied, reply
from model_manager.bus.shortages import shortages
from model_manager.bus.tailing import history
from model_manager.bus.telemetry import copy
from model_manager.decisions.copying import telemetry
from model_manager.decisions.folding import fold
from model_manager.facts.event import Entry, Gone, Known
from model_manager.facts.identity import MachineId
from model_manager.facts.order import Order
from tests.bus.servers import Server
from tests.bus.telling import entry, insist
from tests.bus.test_assignments import first
from tests.bus.test_publishing import introduced
from tests.bus.working import Rig, job

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
    assert {name for name, _ in rows(REDIS, "Functions")} == {f"`mm_{name}`" for name in functions.FUNCTIONS}


def test_the_page_lists_every_kind_with_its_fields() -> None:
    expected = []
    for kind in Known.__args__:
        named = [field.name for field in fields(kind) if field.name != "kind"]
        expected.append((f"`{kind.__dataclass_fields__['kind'].default}`", ", ".join(f"`{name}`" for name in named)))
    assert rows(EVENTS, "Kinds") == expected


def test_the_page_says_of_every_field_what_it_is() -> None:
    explained = {name for names, _, _ in rows(EVENTS, "Fields") for name in re.findall(r"`([a-z0-9_]+)`", names)}
    told = {field.name for kind in (*Known.__args__, Entry, Gone) for field in fields(kind)} - {"kind"}
    assert explained == told


def test_the_pages_name_every_field_of_an_entry() -> None:
    listed = ", ".join(f"`{field.name}`" for field in fields(Entry))
    assert listed in EVENTS.replace("\n", " ")
    assert listed in REDIS.replace("\n  ", " ")
    assert "list of " + ", ".join(f"`{field.name}`" for field in fields(Gone)) in EVENTS


def test_every_key_has_a_name_of_its_own_behind_the_prefix() -> None:
    keys = Keys("{pool}:")
    of_machine = (keys.models, keys.inventory, keys.names, keys.scan_status, keys.lease, keys.progress, keys.assignment)
    names = [
        *(key(MachineId("m1")) for key in (*of_machine, keys.orders, keys.replies, keys.listing)),
        keys.index("a.pt"),
        keys.events,
        keys.alive,
        keys.routing,
        keys.pending,
        keys.telemetry,
    ]
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
    await send(redis, bus.keys, [MachineId("m1")], Order(id="a", what="scan"))
    (received,) = await anext(ordered(redis, bus.keys, MachineId("m1"), every=0.05))
    await copy(redis, bus.keys, [telemetry(teller.hello(), None)])
    await settle(redis, bus.keys, MachineId("m1"), [received.entry])
    await reply(redis, bus.keys, MachineId("m1"), "a", b"{}")
    assert await replied(redis, bus.keys, MachineId("m1"), "a", 5) == b"{}"
    while not await bus.reap():
        pass
    assert await bus.bye(teller.bye())
    for refused in ("GET", "worker:1"), ("SET", "job:1", "x"), ("CONFIG", "GET", "*"), ("FLUSHALL",), ("KEYS", "*"):
        assert "NoPermission" in str(await _refusal(redis, refused))
    await redis.aclose()
    await admin.aclose()


async def test_the_rights_on_the_page_are_enough_for_submitters_workers_and_agents_that_offer(own: Server) -> None:
    admin = connect(own.url)
    for line in re.findall(r"^ACL SETUSER .*$", REDIS, re.MULTILINE):
        await admin.execute_command(*line.split())
    users = {
        name: connect(f"unix://{name}:secret@{own.socket}")
        for name in ("model-manager", "jobs-submitter", "jobs-worker")
    }
    rig = await Rig(users["model-manager"]).begin("a.pt", "b.pt")
    await rig.lose("b.pt")
    submitter, worker = Jobs(users["jobs-submitter"], patience=0), Claims(users["jobs-worker"], patience=0)
    for id, model in ("1", "a.pt"), ("2", "a.pt"), ("3", "b.pt"), ("4", "a.pt"):
        await submitter.submit(job(id, model, policy="fetch", priority=10 - int(id)))
    assert [errand.models for errand in await rig.claims.errands("m1", hold=60)] == [("b.pt",)]
    first_, outcome = await worker.claim("m1", "w", hot=("1",), lease=0.1), None
    assert first_ is not None
    while not (await submitter.reap()).requeued:
        continue
    again = await worker.claim("m1", "w")
    assert again is not None
    await worker.extend(again)
    outcome, second = await worker.next(again, "r" * 100)
    assert (outcome, second and second.job) == ("done", "2")
    assert second is not None
    await worker.fail(second, "broken", how="elsewhere", backoff=0)
    assert (await submitter.job("2")).state in ("pending", "delayed")
    third = await worker.claim("m1", "w")
    assert third is not None
    await worker.fail(third, "broken", how="final")
    await submitter.retry(third.job)
    await submitter.cancel(third.job)
    assert {(each.id, each.state) async for each in submitter.jobs("done")} == {("1", "done"), ("4", "cancelled")}
    explained = await submitter.explain("3", machine="m1")
    assert len(await shortages(users["jobs-submitter"], submitter, explained, bandwidth=1)) == 1
    assert (await submitter.machines_for({"models": "a.pt"}))[0] == 1
    assert await worker.claim("m1", "x", wait=0.05) is None
    for user in ("jobs-submitter", "jobs-worker"):
        for refused in (
            ("GET", "worker:1"),
            ("DEL", "models:index:a.pt"),
            ("FLUSHALL",),
            ("KEYS", "*"),
            ("HSET", "job:1", "a", "b"),
        ):
            assert "NoPermission" in str(await _refusal(users[user], refused))
    for each in (*users.values(), admin):
        await each.aclose()


def test_every_command_of_the_functions_is_granted_to_those_who_call_them() -> None:
    lua = Path(model_manager.__file__).parent.parent / "lua"
    inventory = {"publish", "snapshot", "stage", "adopt", "beat", "withdraw"}
    older = {"find_matching_job", "taking_in", "take_in"}
    texts = {file.stem: file.read_text() for file in lua.rglob("*.lua")}

    def used(without: set[str]) -> set[str]:
        found = (re.findall(r"call\('([A-Z]+)'", text) for name, text in texts.items() if name not in without)
        return {command.lower() for each in found for command in each}

    def granted(user: str) -> set[str]:
        return {
            right
            for line in re.findall(rf"^ACL SETUSER {user} (.*)$", REDIS, re.MULTILINE)
            for right in re.findall(r"\+(\S+)", line)
        }

    for user in ("jobs-submitter", "jobs-worker"):
        assert not used(inventory | older) - granted(user) - {"xadd", "xtrim", "rename"}
    assert not used(older) - granted("model-manager")


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
