"""Which workflows need a model, of all that machines were told to serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from model_manager.fleet.needs import Demand
from model_manager.fleet.view import View

KEEP: Final = 10.0
"""Seconds for which an answer counts."""

MOST: Final = 2_000
"""Workflows that are asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """`workflows` by `folder/name`; `unknown` says why some may be missing, else it is empty."""

    workflows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: frozenset[str] = frozenset()
    unknown: str = ""


class Uses:
    def __init__(self, view: View, demand: Demand, monotonic: Callable[[], float]) -> None:
        self._view = view
        self._demand = demand
        self._monotonic = monotonic
        self._kept: tuple[float, Used] | None = None

    async def places(self) -> Used:
        """As the catalog says now, or said a few seconds ago."""
        if self._kept is None or self._monotonic() - self._kept[0] > KEEP:
            self._kept = self._monotonic(), await self._asked()
        return self._kept[1]

    async def _asked(self) -> Used:
        view = self._view
        view.rows()
        assigned = sorted({flow.name for machine_id in view.ids for flow in view.workflows(machine_id)})
        found: dict[str, dict[str, None]] = {}
        unknown = f"more than {MOST} workflows are served" if len(assigned) > MOST else ""
        for workflow in assigned[:MOST]:
            needs = await self._demand.of(workflow)
            unknown = unknown or needs.unknown
            for model in needs.models:
                for place in view.catalogue.places(model.path):
                    found.setdefault(place, {})[workflow] = None
        flows = {place: tuple(names) for place, names in found.items()}
        return Used(workflows=flows, places=frozenset(flows), unknown=unknown)
