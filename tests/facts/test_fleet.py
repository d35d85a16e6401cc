from __future__ import annotations

from model_manager.facts.fleet import Missing, Takes


def test_nothing_to_take_is_nothing_missing() -> None:
    lacking = Missing(folder="vae", name="x.safetensors", size=None, how="fetch")
    assert Takes(missing=(), bytes=0, unknown=0, fits=True).nothing
    assert not Takes(missing=(lacking,), bytes=0, unknown=1, fits=None).nothing
