from __future__ import annotations

from model_manager.fleet.models.routes import DOING, ROUTES


def test_whatever_changes_something_needs_a_token() -> None:
    assert all(route.needs_token for route in DOING)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
