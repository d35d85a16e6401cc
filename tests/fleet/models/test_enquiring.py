from __future__ import annotations

from typing import Any

import pytest

from model_manager.facts.order import Order
from model_manager.fleet.models.enquiring import Enquiring
from model_manager.serving.problems import Answer
from tests.bus.telling import Teller
from tests.fleet.made import Now, looked, view


def enquiring(body: bytes | None) -> tuple[Enquiring, list[Order]]:
    asked: list[Order] = []

    async def put(machine_id: str, order: Order, seconds: float) -> bytes | None:
        asked.append(order)
        return body

    return Enquiring(view(Now()), put), asked


async def test_what_is_asked_is_an_order_and_what_is_said_an_object() -> None:
    hand, asked = enquiring(b'{"files": []}')
    assert await hand.ask("m1", "describe", ["/a"], ("preview",)) == {"files": [], "refused": [], "missing": []}
    assert (asked[0].what, asked[0].files, asked[0].options) == ("describe", ("/a",), frozenset({"preview"}))


@pytest.mark.parametrize(
    ("body", "status"),
    [(None, 503), (b"\xff", 409), (b"[]", 409), (b'{"error": "the index is locked\\u001b[31m"}', 409)],
)
async def test_k12_silence_garbage_and_refusals_are_said_on_one_line(body: bytes | None, status: int) -> None:
    hand, _ = enquiring(body)
    with pytest.raises(Answer) as refused:
        await hand.ask("m1", "describe", ["/a"])
    assert refused.value.status == status
    assert refused.value.detail.isprintable()


async def test_k12_what_has_another_shape_is_left_out() -> None:
    hand, _ = enquiring(b'{"files": [7, {"path": ["x"]}, {"path": "/a"}], "refused": 5, "missing": [{}, "x"]}')
    said = await hand.ask("m1", "describe", ["/a"])
    assert said == {"files": [{"path": "/a"}], "refused": [], "missing": ["x"]}


@pytest.mark.parametrize(("what", "options"), [("describe", ["confirm"]), ("scan", ["force"])])
async def test_what_no_machine_can_be_asked_is_refused_here(what: Any, options: list[str]) -> None:
    hand, asked = enquiring(b"{}")
    with pytest.raises(Answer):
        await hand.ask("m1", what, ["/a"] if what == "describe" else [], options)
    assert asked == []


async def test_questions_go_round_the_machines_that_live() -> None:
    hand, _ = enquiring(b"{}")
    assert hand.holder(["m1", "m2"], 0) is None
    hand.view.heard(looked(Teller("m1").beat(), Teller("m2").beat(), "m3"))
    assert {hand.holder(["m3", "m2", "m1"], number) for number in range(4)} == {"m1", "m2"}
