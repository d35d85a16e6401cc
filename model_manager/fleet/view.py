"""The fleet in memory: mirrors of what machines hold, their last beats and downloads, and how fresh all of it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from model_manager.bus.leases import Looked
from model_manager.bus.mirroring import Mirrors
from model_manager.decisions.lapsing import liveness
from model_manager.facts.fleet import Liveness
from model_manager.facts.machine import Heartbeat, WorkflowReadiness
from model_manager.facts.mirror import Copy, Mirror
from model_manager.facts.routed import Routed, Starved
from model_manager.fleet.models.catalogue import Catalogue
from model_manager.fleet.models.usage import Usage
from model_manager.fleet.shapes import ModelRow

NEVER: Final = float("inf")

MINUTE: Final = 60


@dataclass(slots=True)
class Beat:
    """`heard`: when by our monotonic clock, `seen`: by the wall's; `deadline`: of the lease, by the server's clock, only to tell
    two beats apart."""

    heartbeat: Heartbeat | None
    deadline: float | None
    heard: float | None
    leased: bool
    seen: float | None = None


class View:
    """Loops put in what they hear; questions read. `patience`: seconds after which a beat is overdue.

    `routed`: what became of the pool's jobs, `starved`: those of them that wait only for models, None while that is not known or
    may not be read; `usage`: when which models were needed last.
    """

    def __init__(
        self,
        mirrors: Mirrors,
        catalogue: Catalogue,
        patience: float,
        monotonic: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.mirrors = mirrors
        self.catalogue = catalogue
        self.exact = False
        self.away: str | None = "it was not asked yet"
        self.lag: tuple[int, float] = (0, 0.0)
        self._patience = patience
        self._monotonic = monotonic
        self._wall = wall
        self.routed: Routed | None = None
        self.starved: Starved | None = None
        self.usage = Usage({})
        self._beats: dict[str, Beat] = {}
        self._moving: dict[str, Mapping[str, Any]] = {}
        self._bytes: dict[str, tuple[Mirror, int]] = {}
        self._begun = self._fresh = monotonic()
        self._looks = 0

    def reached(self) -> None:
        """Redis answered just now."""
        self.away, self._fresh = None, self._monotonic()

    def lost(self, why: str) -> None:
        self.away = why

    @property
    def age(self) -> float:
        """Seconds since Redis last answered."""
        return self._monotonic() - self._fresh

    def heard(self, looked: Looked) -> None:
        """Every lease that there is; one that is not among them ran out."""
        self._looks += 1
        now, seen = self._monotonic(), self._wall()
        for machine_id, lease in looked.leases.items():
            known = self._beats.get(machine_id)
            if lease.heartbeat is None:
                self._beats[machine_id] = _ended(known)
            elif known is None or not known.leased or known.deadline != lease.deadline:
                self._beats[machine_id] = Beat(lease.heartbeat, lease.deadline, now, leased=True, seen=seen)
        for machine_id in self._beats.keys() - looked.leases.keys():
            self._beats[machine_id] = _ended(self._beats[machine_id])

    def moved(self, progress: Mapping[str, Mapping[str, Any]]) -> None:
        """The downloads of all machines that have any."""
        self._looks += 1
        self._moving = {machine_id: fields for machine_id, fields in progress.items() if fields}

    @property
    def generation(self) -> object:
        """Another value whenever anything was put in."""
        unsure = tuple(self.mirrors.unsure.items())
        return self._looks, self.mirrors.changes, self.exact, self.away, unsure, id(self.routed), id(self.usage)

    def forget(self, machine_id: str) -> None:
        self._looks += 1
        self._beats.pop(machine_id, None)
        self._moving.pop(machine_id, None)
        self._bytes.pop(machine_id, None)
        self.mirrors.forget(machine_id)

    @property
    def ids(self) -> list[str]:
        """Every machine that was ever heard of, sorted."""
        return sorted({*self.mirrors.machines, *self.mirrors.unsure, *self._beats})

    def knows(self, machine_id: str) -> bool:
        return machine_id in self.mirrors.machines or machine_id in self._beats or machine_id in self.mirrors.unsure

    def mirror(self, machine_id: str) -> Mirror | None:
        return self.mirrors.machines.get(machine_id)

    def bytes_of(self, mirror: Mirror) -> int:
        """Of all its files: added up once for each step of a machine, for it is asked on every page."""
        known = self._bytes.get(mirror.machine_id)
        if known is None or known[0] is not mirror:
            known = self._bytes[mirror.machine_id] = mirror, mirror.bytes
        return known[1]

    def heartbeat(self, machine_id: str) -> Heartbeat | None:
        """The last one that was heard, however long ago."""
        beat = self._beats.get(machine_id)
        return beat.heartbeat if beat else None

    def silent(self, machine_id: str) -> float | None:
        """Seconds since its last beat, None when none was heard."""
        beat = self._beats.get(machine_id)
        return None if beat is None or beat.heard is None else self._monotonic() - beat.heard

    def last_seen(self, machine_id: str) -> int | None:
        """When its last beat was heard, in seconds since 1970. Of a live machine to the minute: what does not change between two
        questions is not sent twice."""
        beat = self._beats.get(machine_id)
        if beat is None or beat.seen is None:
            return None
        seen = min(self._wall(), beat.seen) if self.state(machine_id) != "live" else self._wall() // MINUTE * MINUTE
        return int(seen)

    def state(self, machine_id: str) -> Liveness:
        beat, mirror, silent = self._beats.get(machine_id), self.mirror(machine_id), self.silent(machine_id)
        leased = None if self.away is not None or beat is None else beat.leased
        return liveness(
            leased=leased,
            silent=NEVER if silent is None else silent,
            patience=self._patience,
            gone=mirror is not None and mirror.left,
        )

    def ready(self, machine_id: str) -> bool:
        """Whether it says so itself and lives: of others nobody knows."""
        heartbeat = self.heartbeat(machine_id)
        return heartbeat is not None and heartbeat.readiness.ready and self.state(machine_id) == "live"

    def workflows(self, machine_id: str) -> tuple[WorkflowReadiness, ...]:
        """Those that it was told to serve."""
        heartbeat = self.heartbeat(machine_id)
        return heartbeat.readiness.workflows if heartbeat else ()

    def room(self, machine_id: str) -> int | None:
        """Bytes that its store, which is the first of its disks, takes above the floor."""
        heartbeat = self.heartbeat(machine_id)
        if heartbeat is None or not heartbeat.disks:
            return None
        return max(0, heartbeat.disks[0].free - heartbeat.disks[0].floor)

    def moving(self, machine_id: str) -> Mapping[str, Any]:
        """`folder/name` → a download as its machine tells it, and `total`."""
        return self._moving.get(machine_id, {})

    @property
    def busy(self) -> AbstractSet[str]:
        """Machines with downloads."""
        return self._moving.keys()

    def who_has(self, place: str) -> Mapping[str, Sequence[Copy]]:
        """`folder/name` → machine → its copies. (A name may itself look like another's folder and name.)"""
        found = self.mirrors.who_has(name=place)
        here = {each: tuple(c for c in copies if f"{c.folder}/{c.name}" == place) for each, copies in found.items()}
        return {machine_id: copies for machine_id, copies in here.items() if copies}

    def rows(self) -> Mapping[str, ModelRow]:
        """`folder/name` → its row. Nothing before everything was read once: until then each count would be thrown away."""
        return self.catalogue.rows(self._holding) if self.exact else self.catalogue.counted

    def order(self) -> Sequence[str]:
        """All `folder/name`, sorted: another object whenever it is another list. Do not change it."""
        return self.catalogue.order(self._holding) if self.exact else sorted(self.catalogue.counted)

    def count_some(self, most: int) -> bool:
        """So many of the rows that are to be counted again, before somebody asks. False when there were none."""
        if not self.exact or not self.catalogue.waiting:
            return False
        self.catalogue.count_some(self._holding, most)
        return True

    def _holding(self, place: str) -> list[tuple[Copy, AbstractSet[str]]]:
        return [(copy, who) for copy, who in self.mirrors.holders(place) if copy.place == place]

    def gone_for(self, seconds: float) -> Iterable[str]:
        """Machines that are away and were not heard of for so long."""
        begun = self._monotonic() - self._begun
        for machine_id in self.ids:
            silent = self.silent(machine_id)
            if self.state(machine_id) == "away" and (begun if silent is None else silent) > seconds:
                yield machine_id


def _ended(known: Beat | None) -> Beat:
    if known is None:
        return Beat(None, None, None, leased=False)
    return Beat(known.heartbeat, known.deadline, known.heard, leased=False, seen=known.seen)
