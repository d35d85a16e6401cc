from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.catalog.routes import ROUTES
from model_manager.catalog.run import opened
from model_manager.catalog.server import Rules, Server


@pytest.fixture
async def server(tmp_path: Path) -> Server:
    async with opened(tmp_path / "c.sqlite") as store:
        return Server(store, Rules(writers={"ann": "CANARY-token"}))


async def test_every_route_of_the_table_is_served(server: Server) -> None:
    served = {
        (route.method, route.resource.canonical) for route in server.application().router.routes() if route.resource
    }
    assert {(route.method, route.path) for route in ROUTES} <= served


async def test_both_names_of_workflows_do_the_same(server: Server) -> None:
    handlers = server._handlers()
    for name in ("by_name", "models", "dependencies", "create", "put"):
        assert handlers[f"workflow_{name}"] == handlers[f"component_{name}"]
    assert handlers["workflows"] == handlers["components"]


def test_rules_never_show_a_token() -> None:
    assert "CANARY" not in repr(Rules(writers={"ann": "CANARY-token"}))
