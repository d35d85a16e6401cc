from __future__ import annotations

import pytest

from model_manager.decisions.bounding import SLACK, UNANNOUNCED, most
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Size
from model_manager.facts.shelf import ShelfPath

STRONG = Pin(algorithms=("sha256",), hex="a" * 64)
SHORT = Pin(algorithms=("autov2",), hex="a" * 10)


@pytest.mark.parametrize(
    ("size", "pin", "bytes"),
    [
        (None, None, UNANNOUNCED),
        (Size(bytes=1000, exact=True), None, 1000),
        (Size(bytes=1000, exact=True), SHORT, 1000),
        (Size(bytes=1000, exact=True), STRONG, 1250 + SLACK),
        (Size(bytes=1000, exact=False), None, 1250 + SLACK),
    ],
)
def test_b6_an_answer_without_a_length_has_an_end(size: Size | None, pin: Pin | None, bytes: int) -> None:
    model = Model(name="m", path=ShelfPath(folder="vae", name="m.safetensors"), sources=(), size=size, pin=pin)
    assert most(model) == bytes
