"""Every key of ours in Redis: its name, type, writer, reader and lifetime. `docs/redis.md` is held against this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from model_manager.facts.identity import MachineId


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """`pattern` follows the configured prefix; `{machine_id}` and `{model_name}` are its only variables."""

    pattern: str
    type: str
    writer: str
    reader: str
    lifetime: str


_MODELS: Final = Key(
    pattern="machine:{machine_id}:models",
    type="hash",
    writer="agent (mm_publish, mm_snapshot)",
    reader="routers, aggregators",
    lifetime="until withdrawn; then a tombstone for a day",
)
_INVENTORY: Final = Key(
    pattern="machine:{machine_id}:inventory",
    type="hash",
    writer="agent (mm_publish, mm_snapshot)",
    reader="the functions",
    lifetime="until withdrawn",
)
_NAMES: Final = Key(
    pattern="machine:{machine_id}:names",
    type="hash",
    writer="agent (mm_publish, mm_snapshot)",
    reader="the functions",
    lifetime="until withdrawn",
)
_INDEX: Final = Key(
    pattern="models:index:{model_name}",
    type="set",
    writer="agents (all functions)",
    reader="routers",
    lifetime="a member as long as the machine holds the model, verified",
)
_SCAN_STATUS: Final = Key(
    pattern="machine:{machine_id}:model_scan_status",
    type="hash",
    writer="agent",
    reader="dashboards",
    lifetime="until withdrawn",
)
_LEASE: Final = Key(
    pattern="machine:{machine_id}:model_manager",
    type="hash",
    writer="agent (mm_beat)",
    reader="routers, aggregators, rivals of the same id",
    lifetime="one lease after the last beat",
)
_PROGRESS: Final = Key(
    pattern="machine:{machine_id}:model_progress",
    type="hash",
    writer="agent",
    reader="dashboards",
    lifetime="one lease after the last write",
)
_ASSIGNMENT: Final = Key(
    pattern="machine:{machine_id}:assignment",
    type="hash or stream",
    writer="operators, schedulers",
    reader="agent",
    lifetime="its writer's choice",
)
_ORDERS: Final = Key(
    pattern="machine:{machine_id}:orders",
    type="stream",
    writer="operators, aggregators",
    reader="agent",
    lifetime="an entry until the machine answered it; all a quarter of an hour after the last",
)
_REPLIES: Final = Key(
    pattern="machine:{machine_id}:replies",
    type="hash",
    writer="agent",
    reader="aggregators",
    lifetime="a field until its asker took it; all two minutes after the last",
)
_EVENTS: Final = Key(
    pattern="model_manager:events",
    type="stream",
    writer="agents (mm_publish, mm_snapshot, mm_withdraw)",
    reader="aggregators, dashboards",
    lifetime="trimmed to about the configured number and age of entries",
)
_TELEMETRY: Final = Key(
    pattern="telemetry:events",
    type="stream",
    writer="agents, when told to; other programs",
    reader="dashboards of an existing fleet",
    lifetime="trimmed to about 10,000 entries",
)
_ALIVE: Final = Key(
    pattern="model_manager:alive",
    type="sorted set",
    writer="agents (mm_beat, mm_withdraw)",
    reader="agents that reap",
    lifetime="a member until withdrawn",
)
_ROUTING: Final = Key(
    pattern="routing",
    type="hash, and the keys behind `routing:`",
    writer="the functions of routing",
    reader="the functions of routing",
    lifetime="as long as there are jobs or offers",
)
_LISTING: Final = Key(
    pattern="routing:listing:{machine_id}",
    type="hash",
    writer="agent",
    reader="mm_publish, mm_adopt",
    lifetime="until one of them puts it in the place of the public hash; a minute otherwise",
)
_PENDING: Final = Key(
    pattern="jobs:pending",
    type="sorted set",
    writer="producers of the older fleet",
    reader="mm_take_in",
    lifetime="a member until it is taken in",
)

KEYS: Final = (
    _MODELS,
    _INVENTORY,
    _NAMES,
    _INDEX,
    _SCAN_STATUS,
    _LEASE,
    _PROGRESS,
    _ASSIGNMENT,
    _ORDERS,
    _REPLIES,
    _EVENTS,
    _ALIVE,
    _TELEMETRY,
    _ROUTING,
    _LISTING,
    _PENDING,
)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys under one prefix, such as `` or `{pool}:` (braces put them all into one slot of a Cluster)."""

    prefix: str = ""

    def _of(self, key: Key, machine_id: MachineId | str) -> str:
        return self.prefix + key.pattern.format(machine_id=machine_id)

    def models(self, machine_id: MachineId | str) -> str:
        """What the machine holds, for everybody: see docs/redis.md."""
        return self._of(_MODELS, machine_id)

    def inventory(self, machine_id: MachineId | str) -> str:
        """Absolute path → entry as JSON."""
        return self._of(_INVENTORY, machine_id)

    def names(self, machine_id: MachineId | str) -> str:
        """Model name → how many verified entries have it."""
        return self._of(_NAMES, machine_id)

    def index(self, model_name: str) -> str:
        """Ids of the machines that hold a model of this name (within its folder), verified."""
        return self.prefix + _INDEX.pattern.format(model_name=model_name)

    def scan_status(self, machine_id: MachineId | str) -> str:
        return self._of(_SCAN_STATUS, machine_id)

    def lease(self, machine_id: MachineId | str) -> str:
        """The heartbeat."""
        return self._of(_LEASE, machine_id)

    def progress(self, machine_id: MachineId | str) -> str:
        """`folder/name` → transfer as JSON."""
        return self._of(_PROGRESS, machine_id)

    def assignment(self, machine_id: MachineId | str) -> str:
        return self._of(_ASSIGNMENT, machine_id)

    def orders(self, machine_id: MachineId | str) -> str:
        """What the machine is asked for: see docs/redis.md."""
        return self._of(_ORDERS, machine_id)

    def replies(self, machine_id: MachineId | str) -> str:
        """Id of an order → what the machine has to tell, as JSON."""
        return self._of(_REPLIES, machine_id)

    @property
    def events(self) -> str:
        return self.prefix + _EVENTS.pattern

    @property
    def telemetry(self) -> str:
        """Copies of events for dashboards that were there before us."""
        return self.prefix + _TELEMETRY.pattern

    @property
    def alive(self) -> str:
        """Machine id → when its lease runs out, in ms of the server's clock."""
        return self.prefix + _ALIVE.pattern

    @property
    def routing(self) -> str:
        """The root of a pool's jobs: what the functions keep of them stands behind it and a colon."""
        return self.prefix + _ROUTING.pattern

    def listing(self, machine_id: MachineId | str) -> str:
        """What the public JSON of a large inventory will be."""
        return self._of(_LISTING, machine_id)

    @property
    def pending(self) -> str:
        """Ids of jobs that the older fleet's producers added."""
        return self.prefix + _PENDING.pattern
