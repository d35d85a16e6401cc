from __future__ import annotations

from model_manager.agent.finding import Finding
from model_manager.agent.removing import Removing
from model_manager.agent.showing import Showing
from model_manager.facts import wire
from model_manager.facts.model import Assignment, Requirements
from model_manager.facts.order import Order
from model_manager.index.reading import Shop
from tests.agent.stage import Stage


def finding(scene: Stage) -> Finding:
    scene.board.requirements = Requirements(generation="g", assignment=Assignment())
    return Finding(
        Showing(scene.board, scene.shelves, lambda: Shop.open(scene.state / "index.sqlite")),
        Removing(scene.board, scene.shelves, scene.root, lambda: None),
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
