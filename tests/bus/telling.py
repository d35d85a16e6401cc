"""A machine as tests play it: it keeps its own inventory, numbers its events, and knows what Redis should say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from redis.asyncio import Redis

from model_manager.bus import tailing
from model_manager.bus.keys import Keys
from model_manager.facts import wire
from model_manager.facts.event import (
    Entry,
    Envelope,
    Event,
    Gone,
    InventorySnapshot,
    MachineBye,
    MachineHello,
    ModelAppeared,
    ModelChanged,
    ModelVanished,
    ReadinessChanged,
)
from model_manager.facts.identity import MachineId
from model_manager.facts.machine import Heartbeat, Readiness
from model_manager.facts.mirror import copy_of, summed

AT = "2026-01-02T03:04:05.000000Z"


def entry(
    name: str, folder: str = "loras", root: str = "/models", verified: bool = True, size: int = 1_500_000
) -> Entry:
    return Entry(
        folder=folder,
        name=name,
        path=f"{root}/{folder}/{name}",
        size=size,
        size_gb=round(size / 1e9, 3),
        hash="ab" * 32 if verified else "",
        verified=verified,
        evidence="pin" if verified else "",
        last_verified=AT if verified else "",
        mtime_ns=1_700_000_000_123_456_789,
    )


def digest_of(entries: Iterable[Entry]) -> str:
    return f"{summed(map(copy_of, entries)):032x}"


class Teller:
    """What `held` says is the disk. Every event made is kept in `outbox` until somebody clears it."""

    def __init__(self, machine: str = "m1", epoch: int = 1_700_000_000_000) -> None:
        self.machine = machine
        self.epoch = epoch
        self.seq = 0
        self.digest = digest_of(())
        self.held: dict[str, Entry] = {}
        self.outbox: list[Envelope] = []

    def tell(self, event: Event) -> Envelope:
        self.seq += 1
        if not isinstance(event, ReadinessChanged):
            self.digest = digest_of(self.held.values())
        envelope = Envelope(
            machine_id=self.machine,
            instance=f"i{self.epoch}",
            epoch=self.epoch,
            seq=self.seq,
            at=AT,
            digest=self.digest,
            event=event,
        )
        self.outbox.append(envelope)
        return envelope

    def restart(self) -> Envelope:
        self.epoch, self.seq = self.epoch + 1, 0
        return self.hello()

    def hello(self) -> Envelope:
        return self.tell(MachineHello(version="1", host="h", boot_id="b", models=len(self.held), bytes=0))

    def appear(self, *entries: Entry) -> Envelope:
        self.held |= {each.path: each for each in entries}
        return self.tell(ModelAppeared(models=entries))

    def change(self, *entries: Entry) -> Envelope:
        self.held |= {each.path: each for each in entries}
        return self.tell(ModelChanged(models=entries))

    def vanish(self, *entries: Entry) -> Envelope:
        for each in entries:
            del self.held[each.path]
        return self.tell(ModelVanished(models=tuple(Gone(folder=e.folder, name=e.name, path=e.path) for e in entries)))

    def snapshot(self) -> Envelope:
        return self.tell(InventorySnapshot(models=len(self.held), bytes=sum(e.size for e in self.held.values())))

    def bye(self) -> Envelope:
        return self.tell(MachineBye(reason="SIGINT"))

    @property
    def entries(self) -> list[Entry]:
        return list(self.held.values())

    def beat(self, **changed: object) -> Heartbeat:
        heartbeat = Heartbeat(
            machine_id=self.machine,
            installation="here",
            instance=f"i{self.epoch}",
            epoch=self.epoch,
            state="ready",
            readiness=Readiness(ready=True, reasons=()),
            disks=(),
            version="1",
            host="host-a",
            at=AT,
        )
        return replace(heartbeat, **changed)


async def insist(redis: Redis, teller: Teller) -> None:
    """Redis says of the machine exactly what its disk says, in every key and by its stream."""
    keys, machine = Keys(), MachineId(teller.machine)
    inventory = await tailing.inventory(redis, keys, machine)
    assert inventory is not None
    assert (inventory.epoch, inventory.seq, inventory.digest) == (teller.epoch, teller.seq, teller.digest)
    assert {each.path: each for each in inventory.entries} == teller.held
    assert len(inventory.entries) == len(teller.held)
    stored = await redis.hgetall(keys.inventory(machine))
    assert {path.decode(): Entry(**wire.loads(text)) for path, text in stored.items()} == teller.held
    totals = await redis.hmget(keys.models(machine), ["total_models", "total_size_gb", "machine_id", "last_updated"])
    gigabytes = f"{sum(each.size for each in teller.held.values()) / 1e9:.3f}"
    assert totals == [str(len(teller.held)).encode(), gigabytes.encode(), teller.machine.encode(), AT.encode()]
    assert await indexed(redis, teller.machine) == {each.name for each in teller.held.values() if each.verified}


async def indexed(redis: Redis, machine: str) -> set[str]:
    """Names that the reverse index lists the machine under."""
    found = await redis.keys("models:index:*")
    async with redis.pipeline(transaction=False) as pipe:
        for key in found:
            pipe.sismember(key, machine)
        answers = await pipe.execute()
    return {key.decode().removeprefix("models:index:") for key, is_in in zip(found, answers, strict=True) if is_in}


async def streamed(redis: Redis, machine: str = "m1") -> list[tuple[int, int, str]]:
    """(epoch, seq, kind) of every entry of the machine, in order."""
    told = await tailing.history(redis, Keys(), machine_id=MachineId(machine), count=100_000)
    return [(e.epoch, e.seq, e.event.kind) for _, e in told if isinstance(e, Envelope)]
