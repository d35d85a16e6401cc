"""Orders to machines: a scan, a verification, a reload. What was asked of whom, and what each answered, is remembered."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from model_manager.errors import BadOrder, printable
from model_manager.facts.event import Envelope, OrderAnswered
from model_manager.facts.identity import MachineId
from model_manager.facts.order import STALE, WHATS, Order, What, order
from model_manager.fleet.orders import OrderAnswer, Ordered, OrderStatus
from model_manager.fleet.pushing import group_of, insisted
from model_manager.fleet.view import View
from model_manager.serving.asking import Asked
from model_manager.serving.paging import page
from model_manager.serving.problems import Answer, bad_body, no_such

Send = Callable[[Sequence[MachineId], Order], Awaitable[None]]
"""Raises BusUnavailable."""

REMEMBERED: Final = 1_000
"""Orders whose answers are kept."""

ANSWERED: Final = "order.answered"
"""The kind of OrderAnswered. An event becomes a record when somebody asks for it: of thousands a second nobody should."""

STATES: Final = ("waiting", "begun", "done", "refused", "dropped")


@dataclass(slots=True)
class _Placed:
    """`at`: monotonic seconds; None for an order that somebody else gave. `heard`: the place of each machine's last answer in
    its history, for the stream may repeat itself."""

    what: str
    files: tuple[str, ...]
    at: float | None
    answers: dict[str, OrderAnswer] = field(default_factory=dict)
    heard: dict[str, tuple[int, int]] = field(default_factory=dict)


class Ordering:
    """`send` hands orders to machines through Redis; their answers are heard with the events of the stream."""

    def __init__(self, view: View, send: Send, monotonic: Callable[[], float]) -> None:
        self._view = view
        self._send = send
        self._monotonic = monotonic
        self._placed: OrderedDict[str, _Placed] = OrderedDict()

    async def one(self, machine_id: str, what: str, body: dict[str, Any]) -> Ordered:
        """Raises Answer 400, 404, 409."""
        return await self._give(_understood({**body, "what": what}), insisted(self._view, [machine_id]))

    async def many(self, body: dict[str, Any]) -> Ordered:
        """To the group that is named. Raises Answer 400, 404, 409."""
        machines = group_of(self._view, body)
        return await self._give(_understood(body), machines)

    async def status(self, asked: Asked) -> OrderStatus:
        """What became of an order. Raises Answer 404 for one that was neither given nor heard of here."""
        identity = asked["order"]
        placed = self._placed.get(identity)
        if placed is None:
            raise no_such(
                "order", identity, "It was given elsewhere, or long ago. GET /events?kind=order.answered tells."
            )
        answers = {machine_id: self._as_of_now(placed, each) for machine_id, each in placed.answers.items()}
        states = [each.state for each in answers.values()]
        found = page(sorted(answers), asked["cursor"], asked["limit"], answers.__getitem__)
        return OrderStatus(
            order=identity,
            what=placed.what,
            files=placed.files,
            counts={state: states.count(state) for state in STATES},
            items=found.items,
            next=found.next,
            total=found.total,
        )

    def answers(self, identity: str) -> dict[str, tuple[str, str]]:
        """Machine → what it last said of an order, and why; nothing of one that is not remembered."""
        placed = self._placed.get(identity)
        if placed is None:
            return {}
        found = {machine_id: self._as_of_now(placed, each) for machine_id, each in placed.answers.items()}
        return {machine_id: (each.state, each.why) for machine_id, each in found.items()}

    async def tell(self, what: What, machines: Sequence[str]) -> None:
        """An order of our own, whose answers are for nobody but the events. Raises BusUnavailable."""
        given = Order(id=secrets.token_hex(8), what=what)
        await self._send([MachineId.parse(machine_id) for machine_id in machines], given)

    def hear(self, told: Iterable[tuple[str, Envelope]]) -> None:
        """Answers of machines, whoever asked."""
        for _, envelope in told:
            if envelope.kind == ANSWERED and isinstance(envelope.event, OrderAnswered):
                self._note(envelope, envelope.event)

    def _note(self, envelope: Envelope, event: OrderAnswered) -> None:
        placed = self._placed.get(event.order) or self._remember(event.order, _Placed(event.what, (), None))
        place, machine_id = (envelope.epoch, envelope.seq), envelope.machine_id
        if place <= placed.heard.get(machine_id, (0, 0)):
            return
        placed.heard[machine_id] = place
        placed.answers[machine_id] = OrderAnswer(
            machine_id=machine_id, state=event.state, files=event.files, why=event.why, at=envelope.at
        )

    async def _give(self, given: Order, machines: Sequence[str]) -> Ordered:
        placed = self._placed.get(given.id) or self._remember(given.id, _Placed(given.what, given.files, None))
        if (placed.what, placed.files) != (given.what, given.files):
            detail = f"The order '{given.id}' was something else. Give this one another id, or none."
            raise Answer(409, "order-known", detail)
        await self._send([MachineId.parse(machine_id) for machine_id in machines], given)
        placed.at = self._monotonic()
        for machine_id in machines:
            placed.answers.setdefault(machine_id, _waiting(machine_id))
        return Ordered(order=given.id, what=given.what, machines=tuple(machines))

    def _remember(self, identity: str, placed: _Placed) -> _Placed:
        self._placed[identity] = placed
        while len(self._placed) > REMEMBERED:
            self._placed.popitem(last=False)
        return placed

    def _as_of_now(self, placed: _Placed, answer: OrderAnswer) -> OrderAnswer:
        """Nobody takes an order up that has waited for so long."""
        if answer.state != "waiting" or placed.at is None or self._monotonic() - placed.at <= STALE:
            return answer
        return replace(answer, state="dropped", why=f"it was not taken up within {STALE:.0f} s")


def _waiting(machine_id: str) -> OrderAnswer:
    return OrderAnswer(machine_id=machine_id, state="waiting", files=0, why="", at="")


def _understood(body: dict[str, Any]) -> Order:
    """Raises Answer 400 for what is misspelt, or what nobody can be asked for."""
    if unknown := sorted(str(name) for name in body.keys() - {"order", "what", "files"}):
        raise bad_body(f"The order has unknown fields: {', '.join(unknown)}.")
    identity, what = body.get("order", secrets.token_hex(8)), body.get("what")
    if not isinstance(identity, str) or not isinstance(what, str):
        raise bad_body("'order' and 'what' are texts.")
    if what not in WHATS:
        raise bad_body(f"'{printable(what, 60)}' is none of {', '.join(WHATS)}.")
    try:
        return order(identity, what, body.get("files", []))
    except BadOrder as error:
        raise bad_body(f"{error.facts['why']}.".capitalize()) from None
