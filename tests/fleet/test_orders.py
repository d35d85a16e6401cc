from __future__ import annotations

from dataclasses import fields

from model_manager.facts.event import OrderAnswered
from model_manager.fleet.orders import OrderAnswer


def test_an_answer_tells_all_that_a_machine_said() -> None:
    said = {field.name for field in fields(OrderAnswered)} - {"kind", "order", "what"}
    assert said <= {field.name for field in fields(OrderAnswer)}
