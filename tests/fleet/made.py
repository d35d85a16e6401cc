"""Mirrors and views without a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.keys import Keys
from model_manager.bus.leases import Lease, Looked
from model_manager.bus.mirroring import Mirrors
from model_manager.decisions.folding import fold
from model_manager.facts.event import Entry, Envelope
from model_manager.facts.machine import Heartbeat
from model_manager.facts.mirror import Copy, Mirror, Said, copy_of
from model_manager.fleet.models.catalogue import Catalogue
from model_manager.fleet.view import View


class Now:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def mirrors(catalogue: Catalogue | None = None) -> Mirrors:
    """Of a server that nobody asks."""
    redis = cast(Redis, connect("unix:///nowhere"))
    return Mirrors(redis, Keys(), fold, touched=catalogue.touched if catalogue else None)


def view(now: Now) -> View:
    catalogue = Catalogue()
    made = View(mirrors(catalogue), catalogue, 37.5, now)
    made.reached()
    return made


def mirror(*entries: Entry, machine_id: str = "m1", **more: Any) -> Mirror:
    copies: dict[str, Copy] = {entry.path: copy_of(entry) for entry in entries}
    plain: dict[str, Any] = {"instance": "i", "epoch": 1, "seq": 1, "sum": 0, "at": "", "said": Said()}
    return Mirror(machine_id=machine_id, entries=copies, **(plain | more))


def hold(seen: View, machine_id: str, *entries: Entry) -> None:
    """All that a machine has from now on."""
    become(seen, mirror(*entries, machine_id=machine_id))


def become(seen: View, after: Mirror) -> None:
    """As a snapshot makes it."""
    seen.mirrors._become(seen.mirror(after.machine_id), after)


def looked(*heartbeats: Heartbeat | str, deadline: float = 1.0) -> Looked:
    """A name alone is a machine whose lease ran out."""
    leases = {}
    for each in heartbeats:
        if isinstance(each, str):
            leases[each] = Lease(each, None, None)
        else:
            leases[each.machine_id] = Lease(each.machine_id, each, deadline)
    return Looked(0.0, leases)


def told(envelopes: Iterable[Envelope]) -> list[tuple[str, Envelope]]:
    return [(f"{number}-0", envelope) for number, envelope in enumerate(envelopes, 1)]
