from __future__ import annotations

import pytest

from model_manager.cli.acting import acting, group
from model_manager.errors import AggregatorAway, BadSetting, Refused


def test_who_is_meant_is_clear_or_refused() -> None:
    assert group(("m1", "m2"), everybody=False) == {"machines": ["m1", "m2"]}
    assert group((), everybody=True) == {"all": True}
    for machines, everybody in (((), False), (("m1",), True)):
        with pytest.raises(Refused, match="--all"):
            group(machines, everybody)


async def test_an_aggregator_that_is_away_is_said(bare: None) -> None:
    async with acting("http://127.0.0.1:1") as act:
        with pytest.raises(AggregatorAway):
            await act.post("/orders", {"what": "scan", "all": True})


async def test_what_is_no_address_is_refused(bare: None) -> None:
    with pytest.raises(BadSetting):
        async with acting("ftp://x"):
            pass
