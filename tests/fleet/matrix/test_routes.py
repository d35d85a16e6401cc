from __future__ import annotations

import pytest

from model_manager.fleet.matrix.routes import ROUTES
from tests.fleet.stage import Client


@pytest.mark.parametrize("path", ["/matrix", "/search", "/downloads"])
async def test_a_misspelt_parameter_is_refused(fleet: Client, path: str) -> None:
    problem = await fleet.get(f"{path}?limitt=1", 400)
    assert "'limitt' is no parameter of this route" in problem["detail"]


def test_reading_needs_no_token() -> None:
    assert not any(route.needs_token for route in ROUTES)
