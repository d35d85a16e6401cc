"""What a machine has to tell beyond its inventory: asked for with an order, and answered with a reply that nobody else reads."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from model_manager.errors import BadOrder, BadRecord, printable
from model_manager.facts import wire
from model_manager.facts.order import Order, What, order
from model_manager.fleet.view import View
from model_manager.serving.problems import Answer, away, bad_body

Put = Callable[[str, Order, float], Awaitable[bytes | None]]
"""Machine, order, seconds → what it replied, None when it did not. Raises BusUnavailable."""

PATIENCE: Final = 5.0
"""Seconds that a machine gets to reply."""


class Enquiring:
    def __init__(self, view: View, put: Put) -> None:
        self.view = view
        self._put = put

    async def ask(
        self,
        machine_id: str,
        what: What,
        files: Sequence[str],
        options: Iterable[str] = (),
        *,
        identity: str = "",
        seconds: float = PATIENCE,
    ) -> Mapping[str, Any]:
        """What it says. Raises Answer 400, 409 for what it refuses, 503 when it does not reply; BusUnavailable."""
        try:
            given = order(identity or secrets.token_hex(8), what, list(files), options)
        except BadOrder as error:
            raise bad_body(f"{error.facts['why']}.".capitalize()) from None
        body = await self._put(machine_id, given, seconds)
        if body is None:
            detail = f"{machine_id} did not reply within {seconds:.0f} s. Ask again; an older release of it never does."
            raise away("machine", detail)
        said = _read(body)
        if why := said.get("error"):
            raise Answer(409, "machine-refused", f"{machine_id} could not do it: {printable(why)}")
        return said

    def holder(self, machines: Iterable[str], number: int) -> str | None:
        """One that lives, so that many questions go to many machines; None when none does."""
        alive = sorted(each for each in machines if self.view.state(each) == "live")
        return alive[number % len(alive)] if alive else None


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        said = wire.loads(body, "the reply")
    except BadRecord:
        return {"error": "its reply cannot be read"}
    if not isinstance(said, dict):
        return {"error": "its reply is no object"}
    listed = {name: _placed(said.get(name)) for name in ("files", "refused")}
    missing = said.get("missing")
    names = [each for each in missing if isinstance(each, str)] if isinstance(missing, list) else []
    return {**said, **listed, "missing": names}


def _placed(value: Any) -> list[Mapping[str, Any]]:
    """Records with a path; whatever else a machine of another release sends in their place is left out."""
    found = value if isinstance(value, list) else []
    return [each for each in found if isinstance(each, dict) and isinstance(each.get("path"), str)]
