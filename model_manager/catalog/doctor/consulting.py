"""The doctor by HTTP, by the names of the routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from model_manager.catalog.answering import enveloped
from model_manager.catalog.doctor.attending import Attending
from model_manager.catalog.doctor.reports import Wish
from model_manager.catalog.incoming.drawn import expected_of
from model_manager.errors import BadWorkflow, printable
from model_manager.serving.asking import Asked, asked_object
from model_manager.serving.problems import Answer, bad_body


class Consulting:
    """`allowed` names the writer, or refuses."""

    def __init__(self, attending: Attending, allowed: Callable[[web.Request], str]) -> None:
        self._attending = attending
        self._allowed = allowed

    async def doctor(self, request: web.Request, values: Asked) -> web.StreamResponse:
        report = await self._attending.checkups.report(
            of_latest=values["of"] == "latest",
            kind=values["kind"] or "",
            limit=values["limit"],
            offset=values["offset"],
        )
        return enveloped(request, report)

    async def doctor_begin(self, request: web.Request, values: Asked) -> web.StreamResponse:
        who = self._allowed(request)
        if values["visit"] and not self._attending.visits:
            raise Answer(409, "no-visits", "This server visits no addresses. Ask with visit=false.")
        expected = _expected(await asked_object(request)) if request.can_read_body else {}
        wish = Wish(visit=values["visit"], fix=values["fix"], per_minute=values["per_minute"])
        return enveloped(request, await self._attending.begin(who, wish, expected), status=202)

    async def doctor_stop(self, request: web.Request, _: Asked) -> web.StreamResponse:
        self._allowed(request)
        latest = await self._attending.checkups.stop()
        if latest is None:
            raise Answer(404, "absent", "There never was a check-up. POST to this address begins one.")
        return enveloped(request, latest)


def _expected(body: dict[str, Any]) -> dict[str, set[str]]:
    """Folders from which the workflows load their models. Raises Answer 400 for what is no workflow."""
    flows = body.get("workflows", [])
    if set(body) - {"workflows"} or not isinstance(flows, list):
        raise bad_body("Send as workflows a list of workflows as ComfyUI writes them; nothing else.")
    try:
        return expected_of((flow, f"workflows[{at}]") for at, flow in enumerate(flows))
    except BadWorkflow as error:
        raise bad_body(f"{error.facts['name']} is no workflow: {printable(error.facts['why'])}.") from None
