from __future__ import annotations

from collections.abc import Sequence

import pytest

from model_manager.agent.orders.finding import Fetch, Finding
from model_manager.agent.orders.removing import Removing
from model_manager.agent.orders.showing import Showing
from model_manager.facts import wire
from model_manager.facts.model import Assignment, Model, Requirements
from model_manager.facts.order import Order
from model_manager.index.reading import Shop
from model_manager.sources.transport.guard import Guard
from tests.agent.stage import Stage


def finding(scene: Stage, fetch: Fetch = lambda models: None) -> Finding:
    scene.board.requirements = Requirements(generation="g", assignment=Assignment())
    return Finding(
        Showing(scene.board, scene.shelves, lambda: Shop.open(scene.state / "index.sqlite")),
        Removing(scene.board, scene.shelves, scene.root, lambda: None),
        fetch,
    )


async def test_files_are_described_and_those_that_are_not_here_named(scene: Stage) -> None:
    held = await scene.holds("loras/a.pt")
    found = await finding(scene).find(Order(id="d", what="describe", files=("a.pt", "x")), [held.file], ["x"])
    told = wire.loads(found.body, "told")
    assert ([each["name"] for each in told["files"]], told["missing"], found.refused) == (["a.pt"], ["x"], False)


async def test_a_removal_says_in_words_what_it_did(scene: Stage) -> None:
    held = await scene.holds("loras/a.pt")
    hand = finding(scene)
    dry = await hand.find(Order(id="o", what="remove", files=("a.pt",)), [held.file], [])
    assert dry.why == "1 files would go, nothing was touched"
    done = await hand.find(
        Order(id="o", what="remove", files=("a.pt",), options=frozenset({"confirm"})), [held.file], []
    )
    assert (done.why, done.files) == ("1 files removed", 1)
    back = await hand.find(Order(id="r", what="restore", files=("o",)), [], ["o"])
    assert back.why == "1 files came back"


async def test_what_stays_is_a_refusal_that_says_why(scene: Stage) -> None:
    held = await scene.holds("loras/a.pt")
    hand = finding(scene)
    scene.board.requirements = None
    found = await hand.find(Order(id="o", what="remove", files=("a.pt",)), [held.file], [])
    assert (found.refused, "not known yet" in found.why) == (True, True)


async def test_models_that_are_asked_for_from_afar_are_wanted(scene: Stage) -> None:
    wanted: list[Model] = []
    body = wire.dumps({"path": "loras/x.pt", "sources": ["https://e.example/x"], "hash": None, "size": None}).decode()
    found = await finding(scene, wanted.extend).find(Order(id="f", what="fetch", files=(body,)), [], [body])
    assert (found.refused, found.files, found.why) == (False, 1, "1 models are wanted")
    assert [str(model.path) for model in wanted] == ["loras/x.pt"]


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"path": "../x", "sources": []}', '{"path": "a/b.pt", "sources": ["file:///x"]}']
)
async def test_k1_what_is_no_model_is_refused_with_the_reason(scene: Stage, body: str) -> None:
    wanted: list[Model] = []
    found = await finding(scene, wanted.extend).find(Order(id="f", what="fetch", files=(body,)), [], [body])
    assert (found.refused, wanted) == (True, [])
    assert wire.loads(found.body, "told")["error"] == found.why


async def test_k4_an_address_inside_the_house_is_refused_by_the_machine_too(scene: Stage) -> None:
    def guarded(models: Sequence[Model]) -> None:
        for model in models:
            Guard().check(model.sources[0].url)

    body = wire.dumps({"path": "loras/x.pt", "sources": ["http://127.0.0.1/x"]}).decode()
    found = await finding(scene, guarded).find(Order(id="f", what="fetch", files=(body,)), [], [body])
    assert (found.refused, "private network" in found.why) == (True, True)
