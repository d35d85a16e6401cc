from __future__ import annotations

from typing import get_args

from model_manager.catalog.doctor.diagnosing import Kind
from model_manager.catalog.doctor.reports import Wish
from model_manager.catalog.routes import DOCTOR


def test_a_check_up_visits_and_writes_nothing_unless_it_is_told() -> None:
    assert (Wish().visit, Wish().fix) == (True, False)


def test_findings_may_be_asked_for_by_every_kind() -> None:
    (kind,) = [param for route in DOCTOR for param in route.params if param.name == "kind"]
    assert set(kind.choices) == set(get_args(Kind))
