"""How far the last check for newer versions is: for who asks, and live for who listens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from model_manager.fleet.jobs.desk import iso
from model_manager.fleet.models import shapes
from model_manager.fleet.models.checking import Checking
from model_manager.fleet.models.releases import Check
from model_manager.fleet.models.updating import Updating
from model_manager.fleet.progressing import progress
from model_manager.fleet.registry import Registry, kept
from model_manager.fleet.telling import Telling
from model_manager.serving.asking import Asked
from model_manager.serving.problems import Answer, bad_body

SAID: Final = {
    "idle": "CivitAI was not asked yet which versions it publishes.",
    "running": "CivitAI is asked which versions it publishes.",
    "waiting": "CivitAI did not answer; it is asked again.",
    "stopping": "The check ends.",
    "stopped": "The check was stopped; what it had learnt stays.",
    "failed": "The check could not go on; what it had learnt stays. Begin it again later.",
    "broken off": "The aggregator that checked has ended; what it had learnt stays. Begin it again.",
}


class Reporting:
    def __init__(self, registry: Registry, checking: Checking, updating: Updating) -> None:
        self._registry = registry
        self._checking = checking
        self._updating = updating

    async def state(self, _: Asked) -> shapes.UpdateCheck:
        """Raises Answer 503 while the store cannot be used."""
        return await self._told(await kept(self._updating.releases.check()))

    async def begin(self, _: Asked, body: Mapping[str, Any]) -> shapes.UpdateCheck:
        """It is begun, and answered at once. Raises Answer 400, 503."""
        again = body.get("again", False)
        if body.keys() - {"again"} or not isinstance(again, bool):
            raise bad_body("A check has 'again' (true asks also about what CivitAI lately told), and nothing else.")
        if not self._registry.view.exact:
            detail = "What machines hold was not read yet. Ask again in a moment."
            raise Answer(503, "starting", detail, {"Retry-After": "2"})
        return await self._told(await kept(self._checking.begin(again=again)))

    async def stop(self, _: Asked, __: Mapping[str, Any]) -> shapes.UpdateCheck:
        return await self._told(await kept(self._checking.stop()))

    async def progress(self, request: web.Request, telling: Telling) -> web.StreamResponse:
        """Server-sent events, while somebody listens: `update_progress`, and `update_complete` when it is over."""
        return await progress(request, telling, lambda: self.state({}), _kind)

    async def _told(self, check: Check) -> shapes.UpdateCheck:
        updates = await self._updates()
        return shapes.UpdateCheck(
            state=check.state,
            total=check.total,
            fresh=check.fresh,
            asked=check.asked,
            absent=check.absent,
            doubtful=check.doubtful,
            updates=updates,
            begun=iso(check.begun),
            ended=iso(check.ended),
            why=check.why,
            message=SAID.get(check.state) or _done(check, updates),
        )

    async def _updates(self) -> int:
        """Models of which a later version is known."""
        await self._updating.refresh()
        await kept(self._registry.store.refresh())
        return len(self._updating.outdated)


def _done(check: Check, updates: int) -> str:
    if not check.total:
        return (
            "No model has a number of CivitAI. Have machines ask for them (MODEL_MANAGER_METADATA=civitai), or"
            " refresh a model's metadata."
        )
    return f"{check.asked + check.fresh} of {check.total} models are known as CivitAI lists them; {updates} have a later version."


def _kind(check: shapes.UpdateCheck) -> str:
    return "update_progress" if check.state in ("running", "waiting", "stopping") else "update_complete"
