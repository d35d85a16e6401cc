from __future__ import annotations

import pytest

from model_manager.cli.model.counting import counted


@pytest.mark.parametrize(("number", "said"), [(0, "0 files"), (1, "1 file"), (12_345, "12,345 files")])
def test_numbers_are_said_as_people_say_them(number: int, said: str) -> None:
    assert counted(number, "file") == said
