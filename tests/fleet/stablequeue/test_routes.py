from __future__ import annotations

import pytest

from model_manager.fleet.stablequeue.routes import ROUTES, Route


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_k9_what_changes_something_needs_a_token(route: Route) -> None:
    assert route.needs_token == (route.method != "GET" and route.name != "stablequeue_verify")
