from __future__ import annotations

import pytest

from model_manager.decisions.lapsing import liveness

INF = float("inf")


@pytest.mark.parametrize(
    ("leased", "silent", "gone", "state"),
    [
        (True, 0.0, False, "live"),
        (True, 37.5, False, "live"),
        (True, 38.0, False, "stale"),
        (False, 1.0, False, "away"),
        (False, INF, False, "away"),
        (True, 1.0, True, "away"),
        (None, 1.0, False, "live"),
        (None, 1.0, True, "live"),
        (None, 38.0, False, "stale"),
        (None, INF, True, "stale"),
    ],
)  # fmt: skip
def test_l7_unknown_is_stale_and_never_away(leased: bool | None, silent: float, gone: bool, state: str) -> None:
    assert liveness(leased=leased, silent=silent, patience=37.5, gone=gone) == state
