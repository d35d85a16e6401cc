from __future__ import annotations

import pytest

from model_manager.cli.jobs.asking import requirement
from model_manager.errors import BadRequest


def test_options_are_added_to_the_json_and_win() -> None:
    assert requirement('{"models": ["x"], "service": "a"}', service="b", gpu_memory_gb=None, models=()) == {
        "models": ["x"],
        "service": "b",
    }


def test_nothing_said_is_nothing_asked() -> None:
    assert requirement(None, service=None, models=()) == {}


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(BadRequest):
        requirement("7")
