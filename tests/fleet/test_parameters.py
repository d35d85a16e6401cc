from __future__ import annotations

import pytest

from model_manager.fleet.parameters import jumping, paged, part_of
from model_manager.serving.problems import Answer


def test_pages_by_number_begin_at_nothing() -> None:
    offset, limit = jumping(prefix="m", what="machines")
    assert (offset.name, offset.default, offset.read("0"), limit.name, limit.default) == (
        "moffset",
        0,
        0,
        "mlimit",
        100,
    )
    with pytest.raises(Answer):
        limit.read("1001")


def test_pages_by_cursor_come_after_other_parameters() -> None:
    assert [each.name for each in paged(part_of("name"))] == ["q", "limit", "cursor"]
