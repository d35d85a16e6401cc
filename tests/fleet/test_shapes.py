"""What is answered is documented: each shape says what it is, and holds nothing that JSON cannot."""

from __future__ import annotations

import inspect

import pytest
from pydantic import TypeAdapter

from model_manager.fleet import shapes

RECORDS = [each for _, each in inspect.getmembers(shapes, inspect.isclass) if each.__module__ == shapes.__name__]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_a_shape_is_frozen_and_has_a_schema(record: type) -> None:
    schema = TypeAdapter(record).json_schema(mode="serialization")
    assert set(schema["required"]) == set(schema["properties"])
    assert record.__dataclass_params__.frozen  # type: ignore[attr-defined]
