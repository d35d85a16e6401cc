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
from model_manager.fleet.view import View
from model_manager.serving.problems import Answer, bad_body, no_such

Push = Callable[[MachineId, Assignment, Mode], Awaitable[None]]
"""Raises BusUnavailable."""

GROUP: Final = 1_000
"""Machines of one request."""


class Pushing:
    def __init__(self, view: View, push: Push) -> None:
        self._view = view
        self._push = push

    async def one(self, machine_id: str, body: dict[str, Any]) -> shapes.Pushed:
        return await self._pushed(insisted(self._view, [machine_id]), body)

    async def many(self, body: dict[str, Any]) -> shapes.Pushed:
        """Nobody gets anything when one of them is unknown."""
        return await self._pushed(group_of(self._view, body), body)

    async def _pushed(self, machines: list[str], body: dict[str, Any]) -> shapes.Pushed:
        assignment, mode = _understood(body)
        for machine_id in machines:
            await self._push(MachineId.parse(machine_id), assignment, mode)
        return shapes.Pushed(machines=tuple(machines))


def group_of(view: View, body: dict[str, Any]) -> list[str]:
    """Takes out of a body who is meant: the `machines` that it names, each once, or with `all` everyone who is not away.
    Raises Answer 400, or 404 when one is unknown or nobody is there."""
    everybody = body.pop("all", False)
    if not isinstance(everybody, bool):
        raise bad_body("'all' must be true or false.")
    if everybody and "machines" in body:
        raise bad_body("'machines' and 'all' exclude each other.")
    if not everybody:
        return insisted(view, _named(body.pop("machines", None)))
    if machines := [each for each in view.ids if view.state(each) != "away"]:
        return machines
    raise Answer(404, "no-such-machine", "No machine is there that could be asked. GET /machines lists them.")


def insisted(view: View, machines: list[str]) -> list[str]:
    """Raises Answer 404 when one is unknown."""
    for machine_id in machines:
        if not view.knows(machine_id):
            raise no_such("machine", machine_id, "GET /machines lists those that were heard of.")
    return machines


def _named(machines: Any) -> list[str]:
    if not isinstance(machines, list) or not all(isinstance(each, str) for each in machines):
        raise bad_body("'machines' must be a list of machine ids.")
    if not 1 <= len(machines) <= GROUP:
        raise bad_body(f"'machines' must name 1 to {GROUP} machines.")
    return list(dict.fromkeys(machines))


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
