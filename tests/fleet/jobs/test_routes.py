from __future__ import annotations

import pytest

from model_manager.fleet.jobs.routes import ROUTES, Route


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_write_needs_a_token_and_no_reading_does(route: Route) -> None:
    assert route.needs_token == (route.method != "GET")
    assert not route.needs_token or {401, 403} <= set(route.refusals)
