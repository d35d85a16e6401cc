from __future__ import annotations

from model_manager.fleet.notices.routes import BODY, DOING, ROUTES
from model_manager.fleet.notices.rulebook import FIELDS, NUMBERS


def test_the_document_knows_every_field_of_a_rule() -> None:
    assert set(BODY["properties"]) == set(FIELDS)
    for name, bounds in NUMBERS.items():
        documented = BODY["properties"][name]
        assert (documented["minimum"], documented["maximum"]) == (bounds.least, bounds.most), name


def test_every_write_needs_a_token() -> None:
    assert all(route.needs_token for route in DOING)
    assert {route.method for route in ROUTES if not route.needs_token} == {"GET"}
