from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from model_manager.facts.fleet import Needed
from model_manager.facts.machine import Readiness, WorkflowReadiness
from model_manager.facts.shelf import ShelfPath
from model_manager.fleet.models.uses import KEEP, Uses
from model_manager.fleet.needs import Demand, Needs
from tests.bus.telling import Teller, entry
from tests.fleet.made import Now, become, looked, mirror, view


@dataclass
class Catalog:
    said: Needs
    asked: int = 0

    async def of(self, workflow: str) -> Needs:
        self.asked += 1
        return self.said


def uses(said: Needs) -> tuple[Uses, Catalog, Now]:
    now = Now()
    seen, catalog = view(now), Catalog(said)
    become(seen, mirror(entry("x.pt", "unet"), entry("y.pt", "unet")))
    seen.exact = True
    readiness = Readiness(ready=True, reasons=(), workflows=(WorkflowReadiness(name="flux", ready=True),))
    seen.heard(looked(Teller("m1").beat(readiness=readiness)))
    return Uses(seen, cast(Demand, cast(Any, catalog)), now), catalog, now


async def test_a_model_is_used_by_the_workflows_that_need_its_place_under_either_name() -> None:
    path = ShelfPath(folder="diffusion_models", name="X.pt")
    hand, catalog, now = uses(Needs(models=(Needed(path=path, size=None, pin=None),)))
    used = await hand.places()
    assert (dict(used.workflows), used.places, used.unknown) == ({"unet/x.pt": ("flux",)}, {"unet/x.pt"}, "")
    await hand.places()
    assert catalog.asked == 1
    now.seconds += KEEP + 1
    await hand.places()
    assert catalog.asked == 2


async def test_what_the_catalog_cannot_tell_is_unknown_and_never_unused() -> None:
    hand, _, _ = uses(Needs(unknown="the catalog did not answer"))
    assert (await hand.places()).unknown == "the catalog did not answer"
