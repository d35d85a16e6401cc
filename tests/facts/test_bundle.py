from __future__ import annotations

import pytest

from model_manager.facts.bundle import Bundle


@pytest.mark.parametrize(("missing", "complete"), [((), True), (("/m/vae/x",), False)])
def test_a_model_is_complete_when_no_part_is_missing(missing, complete):
    assert (
        Bundle(key="k", kind="shards", folder="vae", name="x", parts=("/m/vae/y",), missing=missing).complete
        is complete
    )
