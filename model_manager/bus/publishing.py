"""What a machine tells Redis: its events with their inventory, its heartbeat, its progress; and the burial of the dead."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from model_manager.bus import arguments
from model_manager.bus.arguments import Sent
from model_manager.bus.connection import translate
from model_manager.bus.functions import Functions
from model_manager.bus.healing import Healing
from model_manager.bus.keys import Keys
from model_manager.bus.listing import Listings
from model_manager.bus.staging import Staging
from model_manager.bus.withdrawing import ROUNDS, Withdrawing
from model_manager.errors import BusUnavailable
from model_manager.facts import wire
from model_manager.facts.event import Entry, Envelope
from model_manager.facts.identity import MachineId
from model_manager.facts.machine import Heartbeat
from model_manager.facts.transfer import Phase, Total, Transfer

HEALED_AT_ONCE: Final = 200
"""Names of one call that are put back into the reverse index."""

SETTLED_AT_ONCE: Final = "100"
SETTLED_ROUNDS: Final = 400
"""Calls in a row that go on with indexing a snapshot; what is left then is done by other calls."""

WEEK: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """Redis has everything up to (epoch, upto_seq): it may leave the outbox."""

    epoch: int
    upto_seq: int


@dataclass(frozen=True, slots=True)
class NeedsSnapshot:
    """Redis does not know the inventory, or misses events. `expected` is the seq that it would take next, 0 if it knows nothing."""

    expected: int


@dataclass(frozen=True, slots=True)
class Fenced:
    """A process of this machine with the later `epoch` has written: this one must stop, or start anew above it."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Busy:
    """Another installation, on the host `owner`, is alive under this machine id. Nothing was written."""

    owner: str


Published = Delivered | NeedsSnapshot | Fenced | Busy


class Bus:
    """One machine's side of Redis. Every method raises BusUnavailable, and may then be repeated: nothing happens twice.

    `installation` is the state directory's random id; `lease` in seconds is how long a silent machine counts as alive. The
    stream keeps about `stream_maxlen` entries, and those of about the last `stream_age` seconds.
    Beat before the first publish, so that another installation with the same id is found before anything is written.
    """

    def __init__(
        self,
        redis: Redis,
        machine_id: MachineId,
        installation: str,
        prefix: str,
        stream_maxlen: int,
        lease: float,
        stream_age: float = WEEK,
    ) -> None:
        self._redis = redis
        self._functions = Functions(redis)
        self._machine = str(machine_id)
        self._installation = installation
        self._trim = (str(stream_maxlen), str(int(stream_age * 1000)))
        self._lease_ms = str(int(lease * 1000))
        self._delivered = Delivered(0, 0)
        self._epoch = 0
        self._owner = True
        self._replacing = False
        self.keys = Keys(prefix)
        self._healing = Healing(redis, self.keys, self._machine)
        self._listings = Listings(redis, self.keys, self._machine)
        self._withdrawing = Withdrawing(redis, self.keys, self._functions)
        self._staging = Staging(
            redis=redis,
            functions=self._functions,
            keys=self.keys,
            withdrawing=self._withdrawing,
            machine=self._machine,
            installation=installation,
            trim=self._trim,
        )

    async def latest_epoch(self) -> int:
        """The latest epoch that Redis has heard of this machine, 0 for none. A process that lost its index, or whose clock
        went back, begins above it instead of being fenced by a dead one."""
        with translate():
            if await self._redis.type(key := self.keys.models(self._machine)) != b"hash":
                return 0
            found: Any = await self._redis.hmget(key, ["epoch", "ahead_epoch"])
        return max((int(text) for text in found if text and text.isdigit()), default=0)

    async def publish(self, envelopes: Sequence[Envelope]) -> Published:
        """Events in order, with what they change. Delivered only if Redis has all of them."""
        return await self._publish(envelopes, blind=False)

    async def history(self, envelopes: Sequence[Envelope]) -> Published:
        """Events that a snapshot follows, which contains their changes: they go to the stream unless they are there."""
        return await self._publish(envelopes, blind=True)

    async def snapshot(
        self, envelope: Envelope, entries: Sequence[Entry], before: Sequence[Envelope] = ()
    ) -> Published:
        """The whole inventory as of `envelope` (inventory.snapshot) replaces what Redis has. `before`: as `history`."""
        self._listings.forget()
        earlier = await self._publish(before, blind=True)
        if not isinstance(earlier, Delivered):
            return earlier
        self._replacing = True
        try:
            word, rest = await self._staging.snapshot(envelope, entries)
        finally:
            self._replacing = False
        published = self._answer(word, rest, Delivered(envelope.epoch, envelope.seq))
        self._remember(published)
        if isinstance(published, Delivered):
            await self._settle()
        return published

    async def _settle(self) -> None:
        """A large inventory is indexed in several calls; jobs wait until it is whole."""
        for _ in range(SETTLED_ROUNDS):
            _, rest = await self._functions.call("mm_settle", (self.keys.routing,), (SETTLED_AT_ONCE,))
            if rest != ["1"]:
                return

    async def beat(self, heartbeat: Heartbeat, extra: Mapping[str, str]) -> Published:
        """Renews the lease; `extra` are further fields of it. NeedsSnapshot when Redis lost what it had acknowledged."""
        self._epoch = max(self._epoch, heartbeat.epoch)
        head = (heartbeat.instance, str(heartbeat.epoch), self._lease_ms, *self._position())
        fields = {**_lease_fields(heartbeat), **extra}
        lost = await self._healing.lacking()
        published, evicted = await self._beat(head, fields, lost[:HEALED_AT_ONCE])
        if isinstance(published, NeedsSnapshot) and self._replacing:
            return self._delivered  # a large one is on its way in parts
        if isinstance(published, Delivered):
            await self._heal(head, fields, [*lost[HEALED_AT_ONCE:], *await self._healing.doubted(evicted)])
        return published

    async def _heal(self, head: Sequence[str], fields: Mapping[str, str | bytes], names: Sequence[str]) -> None:
        """What one beat does not put back, further ones do at once."""
        for first in range(0, len(names), HEALED_AT_ONCE):
            await self._beat(head, fields, names[first : first + HEALED_AT_ONCE])

    async def _beat(
        self, head: Sequence[str], fields: Mapping[str, str | bytes], names: Sequence[str]
    ) -> tuple[Published, str]:
        """What it answered, and how many keys the server has evicted, as it says it."""
        word, rest = await self._functions.call(
            "mm_beat",
            (*self._own_keys(), self.keys.alive, self.keys.routing, *map(self.keys.index, names)),
            (
                self._machine,
                self._installation,
                *head,
                *arguments.counted(names),
                str(len(fields)),
                *(part for pair in fields.items() for part in pair),
            ),
        )
        published = self._answer(word, rest, self._delivered)
        self._owner = not isinstance(published, Busy | Fenced)
        return published, rest[1] if word == "OK" else ""

    async def bye(self, envelope: Envelope) -> Published:
        """The last event (machine.bye), and everything that Redis holds of this machine goes with it.

        NeedsSnapshot says that it is withdrawn but the event is not on the stream: leave it in the outbox.
        """
        told = arguments.event(envelope)
        word, rest = await self._withdrawing.withdraw(
            self._machine, "bye", installation=self._installation, trim=self._trim, event=told
        )
        return self._answer(word, rest, Delivered(envelope.epoch, envelope.seq))

    async def reap(self) -> tuple[str, ...]:
        """Withdraws machines whose lease ran out, at most 100 at a time; any living agent may. Returns their ids."""
        return await self._withdrawing.bury()

    async def progress(self, transfers: Sequence[Transfer], total: Total | None = None) -> None:
        """The running downloads and the field `total`, leased; those that are done or failed are left out, and without any
        the key goes. Nothing while another owns the id."""
        running = [each for each in transfers if each.phase not in (Phase.DONE, Phase.FAILED)]
        fields = {str(each.shelf): wire.dumps(each) for each in running}
        if fields and total is not None:
            fields["total"] = wire.dumps(total)
        await self._overwrite(self.keys.progress(self._machine), fields, int(self._lease_ms))

    async def scan_status(self, fields: Mapping[str, str]) -> None:
        """Phase, counts, started and finished of the scan. Nothing while another owns the id."""
        await self._overwrite(self.keys.scan_status(self._machine), fields, None)

    async def _publish(self, envelopes: Sequence[Envelope], *, blind: bool) -> Published:
        published: Published = self._delivered
        self._epoch = max([self._epoch, *(each.epoch for each in envelopes)])
        for batch in arguments.batches(arguments.sent(each, blind=blind) for each in envelopes):
            published = await self._publish_batch(batch, blind)
            if isinstance(published, NeedsSnapshot) and len(batch) > 1:
                published = await self._publish_by_few(batch, blind)  # together they may be too much for one call
            if not isinstance(published, Delivered):
                return published
            await asyncio.sleep(0)
        return published

    async def _publish_by_few(self, events: Sequence[Sent], blind: bool) -> Published:
        published: Published = self._delivered
        for batch in arguments.batches(events, arguments.FEW_CHANGES):
            published = await self._publish_batch(batch, blind)
            if not isinstance(published, Delivered):
                break
        return published

    async def _publish_batch(self, batch: Sequence[Sent], blind: bool) -> Published:
        names = dict.fromkeys(name for each in batch for name in each.names)
        if blind:
            self._listings.forget()
            return self._taken(await self._deliver("blind", names, batch))
        await self._listings.prepare(batch)
        published = await self._deliver("strict", names, batch)
        if published is None:
            await self._listings.want(batch)
            published = await self._deliver("strict", names, batch) or await self._deliver("here", names, batch)
        if isinstance(published, Delivered):
            self._listings.published(batch)
        else:
            self._listings.forget()
        return self._taken(published)

    def _taken(self, published: Published | None) -> Published:
        if published is None:
            raise BusUnavailable(why="its function wants a listing where it can have none")
        self._remember(published)
        return published

    async def _deliver(self, mode: str, names: dict[str, None], batch: Sequence[Sent]) -> Published | None:
        """None: the server wants the listing that the events lead to."""
        last = batch[-1].envelope
        body = [str(len(batch)), *(part for each in batch for part in each.arguments)]
        for _ in range(ROUNDS):
            listed = tuple(names)
            keys = (*self._own_keys(), self.keys.events, self.keys.routing, *map(self.keys.index, listed))
            head = (self._machine, self._installation, str(self._epoch), mode, *self._trim)
            word, rest = await self._functions.call("mm_publish", keys, (*head, *arguments.counted(listed), *body))
            if word == "LIST":
                return None
            if word != "NEEDS":
                return self._answer(word, rest, Delivered(last.epoch, last.seq))
            names.update(dict.fromkeys(rest))
        raise BusUnavailable(why="the stored inventory changes faster than it can be replaced")

    def _own_keys(self) -> tuple[str, ...]:
        k, machine = self.keys, self._machine
        return k.models(machine), k.inventory(machine), k.names(machine), k.lease(machine)

    def _position(self) -> tuple[str, str]:
        return str(self._delivered.epoch), str(self._delivered.upto_seq)

    def _remember(self, published: Published) -> None:
        if isinstance(published, Delivered):
            later = max((self._delivered.epoch, self._delivered.upto_seq), (published.epoch, published.upto_seq))
            self._delivered = Delivered(*later)

    async def _overwrite(self, key: str, fields: Mapping[str, str | bytes], ms: int | None) -> None:
        if not self._owner:
            return
        with translate():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.delete(key)
                if fields:
                    pipe.hset(key, items=[part for pair in fields.items() for part in pair])
                    if ms is not None:
                        pipe.pexpire(key, ms)
                await pipe.execute()

    def _answer(self, word: str, rest: Sequence[str], delivered: Delivered) -> Published:
        match word:
            case "OK" | "DUP":
                return delivered
            case "GAP" | "SNAP":
                return NeedsSnapshot(int(rest[0]))
            case "FENCED":
                return Fenced(int(rest[0]))
            case "BUSY":
                return Busy(rest[0])
            case _:
                raise BusUnavailable(why=f"its function answered '{word}', which this release does not know")


def _lease_fields(heartbeat: Heartbeat) -> dict[str, str | bytes]:
    readiness = heartbeat.readiness
    return {
        "machine_id": heartbeat.machine_id,
        "installation": heartbeat.installation,
        "instance": heartbeat.instance,
        "epoch": str(heartbeat.epoch),
        "state": heartbeat.state,
        "ready": "1" if readiness.ready else "0",
        "reasons": wire.dumps(readiness.reasons),
        "required": str(readiness.required),
        "present": str(readiness.present),
        "generation": readiness.generation,
        "workflows": wire.dumps(readiness.workflows),
        "disks": wire.dumps(heartbeat.disks),
        "version": heartbeat.version,
        "host": heartbeat.host,
        "at": heartbeat.at,
        "collections": wire.dumps(heartbeat.collections),
        "figures": wire.dumps(heartbeat.figures),
    }
