from __future__ import annotations

from dataclasses import fields

from model_manager.fleet.matrix.shapes import Moving
from model_manager.fleet.shapes import Download


def test_a_download_on_the_board_has_the_fields_of_one_on_its_machine() -> None:
    assert {each.name for each in fields(Moving)} == {each.name for each in fields(Download)} | {"machine_id"}
