"""A reader made from docs/events.md and docs/redis.md alone, as somebody would write it in another language.

It knows nothing of our library: when the pages and the code part, its histories end elsewhere than the disks.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

FIVE_MINUTES = 300_000


@dataclass
class Known:
    """A machine as of (epoch, seq)."""

    epoch: int = -1
    seq: int = 0
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    gone: bool = False

    @property
    def place(self) -> tuple[int, int]:
        return self.epoch, self.seq


def digest_of(files: dict[str, dict[str, Any]]) -> str:
    total = 0
    for each in files.values():
        verified = "1" if each["verified"] else "0"
        line = "\0".join([each["path"], str(each["size"]), each["hash"], verified])
        total += int.from_bytes(hashlib.sha256(line.encode()).digest()[:16], "big")
    return f"{total % 2**128:032x}"


def data_of(raw: bytes) -> Any:
    return json.loads(zlib.decompress(raw) if raw[:1] == b"x" else raw)


class Reader:
    """`redis` sends commands as they are written on the pages, and gives back bytes."""

    def __init__(self, redis: Any) -> None:
        self.redis = redis
        self.machines: dict[str, Known] = {}
        self.owed: set[str] = set()
        self.cursor = ""
        self.read = 0
        self.cut_off = False

    async def start(self) -> None:
        self.cursor = await self._last_id()
        self.read = await self._added()
        for machine in await self._stored():
            self.machines[machine] = await self._from_hash(machine, Known())

    async def poll(self) -> int:
        """Everything that the stream has after the cursor; how many entries that were."""
        if not self.cursor:
            await self.start()
        if self.cut_off:
            await self.compare()
            self.cut_off = False
        await self._look_for_gaps()
        answer = await self.redis.execute_command("XREAD", "COUNT", "7", "STREAMS", "model_manager:events", self.cursor)
        entries = answer[0][1] if answer else []
        for identity, fields in entries:
            self.cursor = identity.decode()
            self.read += 1
            await self._entry(fields)
        return len(entries)

    async def _look_for_gaps(self) -> None:
        last = await self._last_id()
        if _id(last) < _id(self.cursor):
            self.cursor = f"{max(0, _id(last)[0] - FIVE_MINUTES)}-0"
            self.read = await self._added() - await self._after_cursor()
            await self.compare()
            return
        added, waiting = await self._added(), await self._after_cursor()
        if added - waiting != self.read:
            self.read = added - waiting
            await self.compare()

    async def _entry(self, fields: dict[bytes, bytes]) -> None:
        machine = fields[b"machine_id"].decode()
        place = int(fields[b"epoch"]), int(fields[b"seq"])
        known = self.machines.get(machine, Known())
        kind, digest = fields[b"kind"].decode(), fields[b"digest"].decode()
        if place <= known.place:
            return
        if kind == "machine.bye":
            self.machines[machine] = Known(*place, gone=True)
        elif (
            place == (known.epoch, known.seq + 1)
            and (files := _applied(known.files, kind, data_of(fields[b"data"]), digest)) is not None
        ):
            self.machines[machine] = Known(*place, files)
        elif kind == "machine.hello" and known.epoch >= 0 and digest_of(known.files) == digest and not known.gone:
            self.machines[machine] = Known(*place, known.files)
        else:
            self.owed.add(machine)
        if machine in self.owed:
            await self._pay(machine)

    async def _pay(self, machine: str) -> None:
        """Read its hash; while that names an earlier place than what we know, or none, read it again later."""
        before = self.machines.get(machine, Known())
        now = await self._from_hash(machine, before)
        if now.place > before.place:
            self.machines[machine] = now
            self.owed.discard(machine)

    async def compare(self) -> None:
        for machine in {*self.machines, *await self._stored()}:
            before = self.machines.get(machine, Known())
            position = await self.redis.execute_command(
                "HMGET", f"machine:{machine}:models", "epoch", "seq", "digest", "ahead_epoch", "ahead_seq"
            )
            lease = await self.redis.execute_command("HGET", f"machine:{machine}:model_manager", "epoch")
            epoch, seq, digest, ahead_epoch, ahead_seq = position
            if epoch is None:
                if ahead_epoch is not None and lease is None:
                    self.machines[machine] = Known(int(ahead_epoch), int(ahead_seq), gone=True)
                    self.owed.discard(machine)
            elif ahead_epoch is None:
                place = int(epoch), int(seq)
                differs = place == before.place and (before.gone or digest.decode() != digest_of(before.files))
                replaced = lease is not None and int(lease) < before.epoch
                if place > before.place or differs or (place < before.place and replaced):
                    await self._take(machine)

    async def _take(self, machine: str) -> None:
        now = await self._from_hash(machine, Known())
        if now.epoch >= 0:
            self.machines[machine] = now
            self.owed.discard(machine)

    async def _from_hash(self, machine: str, otherwise: Known) -> Known:
        found = await self.redis.execute_command(
            "HMGET", f"machine:{machine}:models", "epoch", "seq", "digest", "models"
        )
        if None in found:
            return otherwise
        epoch, seq, digest, models = found
        files = {each["path"]: each for listed in json.loads(models).values() for each in listed}
        if digest_of(files) != digest.decode():
            return otherwise
        return Known(int(epoch), int(seq), files)

    async def _stored(self) -> set[str]:
        keys = await self.redis.execute_command("KEYS", "machine:*:models")
        return {key.decode().split(":")[1] for key in keys}

    async def _last_id(self) -> str:
        entries = await self.redis.execute_command("XREVRANGE", "model_manager:events", "+", "-", "COUNT", "1")
        return entries[0][0].decode() if entries else "0-0"

    async def _added(self) -> int:
        if not await self.redis.execute_command("EXISTS", "model_manager:events"):
            return 0
        info = await self.redis.execute_command("XINFO", "STREAM", "model_manager:events")
        return int(dict(zip(info[::2], info[1::2], strict=True))[b"entries-added"])

    async def _after_cursor(self) -> int:
        entries = await self.redis.execute_command("XRANGE", "model_manager:events", f"({self.cursor}", "+")
        return len(entries)


def _applied(files: dict[str, dict[str, Any]], kind: str, data: Any, digest: str) -> dict[str, dict[str, Any]] | None:
    """The files after an event, None when they are not those that its digest speaks of."""
    after = dict(files)
    if kind in ("model.appeared", "model.changed"):
        after |= {each["path"]: each for each in data["models"]}
    elif kind == "model.vanished":
        for each in data["models"]:
            after.pop(each["path"], None)
    return after if digest_of(after) == digest else None


def _id(text: str) -> tuple[int, int]:
    first, _, second = text.partition("-")
    return int(first), int(second or 0)
