from __future__ import annotations

import pytest

from model_manager.serving.asking import EVENT, MACHINE, Param
from model_manager.serving.problems import Answer

LIMIT = Param(name="limit", help="", kind="integer", default=1, most=1000)
FLAG = Param(name="ready", help="", kind="flag")
STATE = Param(name="state", help="", choices=("live", "away"))
CURSOR = Param(name="cursor", help="", kind="cursor")
ID = Param(name="machine_id", help="", pattern=MACHINE, most=128)
AFTER = Param(name="after", help="", pattern=EVENT)


def test_what_fits_is_read() -> None:
    assert LIMIT.read("1000") == 1000
    assert [FLAG.read(text) for text in ("true", "false")] == [True, False]
    assert STATE.read("away") == "away"
    assert ID.read("gpu-1_a") == "gpu-1_a"
    assert AFTER.read("1700000000000-0") == "1700000000000-0"


@pytest.mark.parametrize(
    ("param", "text"),
    [
        (LIMIT, "0"), (LIMIT, "1001"), (LIMIT, "-1"), (LIMIT, "1e3"), (LIMIT, "٣"), (LIMIT, ""), (LIMIT, "9" * 5000),
        (FLAG, "True"), (FLAG, "1"), (STATE, "stale"), (STATE, "x" * 600), (ID, "a:b"), (ID, "a\n"), (ID, ""),
        (AFTER, "1"), (AFTER, "$"), (CURSOR, "!"), (CURSOR, "é"), (CURSOR, "a"), (CURSOR, "_w"), (CURSOR, "A" * 3000),
    ],
)  # fmt: skip
def test_what_does_not_is_refused_with_its_name(param: Param, text: str) -> None:
    with pytest.raises(Answer, match=f"'{param.name}'") as refused:
        param.read(text)
    assert refused.value.status == 400
    assert len(refused.value.detail) < 300
