from __future__ import annotations

from model_manager.agent.orders.removing import Removing
from model_manager.facts.event import ModelVanished
from model_manager.facts.model import Assignment, Model, Requirements, Wanted
from model_manager.facts.order import Order
from tests.agent.stage import Stage

ASKED = Order(id="o1", what="remove", files=("x",))
DO = Order(id="o1", what="remove", files=("x",), options=frozenset({"confirm"}))


def removing(scene: Stage, looks: list[int] | None = None) -> Removing:
    scene.board.requirements = Requirements(generation="g", assignment=Assignment())
    return Removing(scene.board, scene.shelves, scene.root, lambda: (looks if looks is not None else []).append(1))


async def test_it_is_said_what_would_go_and_nothing_is_touched(scene: Stage) -> None:
    held = await scene.holds("loras/a.pt")
    scene.put("loras/a.preview.png", b"x")
    said = await removing(scene).remove(ASKED, [held.file])
    assert [(each["type"], each["path"]) for each in said["files"]] == [
        ("model", held.file),
        ("preview", str(scene.store / "loras/a.preview.png")),
    ]
    assert (said["dry"], said["bytes"], said["until"]) == (True, 7, "")
    assert (scene.store / "loras/a.pt").exists()


async def test_what_goes_is_told_at_once_and_comes_back_with_a_look(scene: Stage) -> None:
    held = await scene.holds("loras/a.pt")
    looks: list[int] = []
    hand = removing(scene, looks)
    said = await hand.remove(DO, [held.file])
    assert (said["dry"], bool(said["until"]), len(said["files"])) == (False, True, 1)
    (gone,) = await scene.told(ModelVanished)
    assert [each.path for each in gone.models] == [held.file]
    assert held.file not in scene.shelves.held
    back = await hand.restore(Order(id="r", what="restore", files=("o1",)))
    assert [each["path"] for each in back["files"]] == [held.file]
    assert looks == [1]


async def test_what_two_models_share_goes_with_the_last_of_them(scene: Stage) -> None:
    one, two = await scene.holds("loras/a.pt"), await scene.holds("loras/a.safetensors")
    scene.put("loras/a.json", b"{}")
    hand = removing(scene)
    assert [each["type"] for each in (await hand.remove(ASKED, [one.file]))["files"]] == ["model"]
    both = (await hand.remove(ASKED, [one.file, two.file]))["files"]
    assert {each["path"] for each in both} >= {one.file, two.file, str(scene.store / "loras/a.json")}


async def test_what_is_required_stays_and_says_why(scene: Stage) -> None:
    held = await scene.holds("loras/a.pt")
    hand = removing(scene)
    wanted = Wanted(model=Model(name="a", path=held.shelf, sources=()), required=True, needed_by=("workflow:w",))
    scene.board.requirements = Requirements(generation="g", assignment=Assignment(), wanted=(wanted,))
    said = await hand.remove(DO, [held.file])
    assert (said["files"], "workflow:w" in said["refused"][0]["why"]) == ([], True)
    assert (scene.store / "loras/a.pt").exists()
