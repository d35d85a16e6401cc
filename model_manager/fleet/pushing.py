"""The only writes: assignments for one machine or for a group. They are handed to the machines through Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from model_manager.bus.assignments import Mode
from model_manager.errors import BadRecord
from model_manager.facts.identity import MachineId
from model_manager.facts.model import Assignment
from model_manager.facts.record import ASSIGNED, assignment_record
from model_manager.fleet import shapes
from model_manager.fleet.problems import bad_body, no_such
from model_manager.fleet.view import View

Push = Callable[[MachineId, Assignment, Mode], Awaitable[None]]
"""Raises BusUnavailable."""

GROUP: Final = 1_000
"""Machines of one request."""


class Pushing:
    def __init__(self, view: View, push: Push) -> None:
        self._view = view
        self._push = push

    async def one(self, machine_id: str, body: dict[str, Any]) -> shapes.Pushed:
        return await self._pushed([machine_id], body)

    async def many(self, body: dict[str, Any]) -> shapes.Pushed:
        """`machines` names the group. Nobody gets anything when one of them is unknown."""
        machines = body.pop("machines", None)
        if not isinstance(machines, list) or not all(isinstance(each, str) for each in machines):
            raise bad_body("'machines' must be a list of machine ids.")
        if not 1 <= len(machines) <= GROUP:
            raise bad_body(f"'machines' must name 1 to {GROUP} machines.")
        return await self._pushed(list(dict.fromkeys(machines)), body)

    async def _pushed(self, machines: list[str], body: dict[str, Any]) -> shapes.Pushed:
        assignment, mode = _understood(body)
        for machine_id in machines:
            if not self._view.knows(machine_id):
                raise no_such("machine", machine_id, "GET /machines lists those that were heard of.")
        for machine_id in machines:
            await self._push(MachineId.parse(machine_id), assignment, mode)
        return shapes.Pushed(machines=tuple(machines))


def _understood(body: dict[str, Any]) -> tuple[Assignment, Mode]:
    """Raises Answer 400 for what is misspelt, and for an assignment that names nothing."""
    mode: Mode = "replace" if (given := body.pop("mode", "add")) == "replace" else "add"
    if given not in ("add", "replace"):
        raise bad_body("'mode' must be 'add' or 'replace'.")
    try:
        assignment = assignment_record(body, "the body")
    except BadRecord as error:
        raise bad_body(f"The assignment is refused whole: {error.facts['why']}.") from None
    if assignment.empty:
        raise bad_body(f"The assignment names nothing in {', '.join(ASSIGNED)}.")
    return assignment, mode
