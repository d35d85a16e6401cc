from __future__ import annotations

from model_manager.agent.holdings import remarking as module
from model_manager.agent.holdings.remarking import Remarking
from model_manager.facts.directory import Remark
from model_manager.library.scanning import Scan, Skipped
from tests.agent.stage import Stage

ROOT = "/nas"
CLOSED = Skipped(path="/nas/closed", why="Permission denied")


def test_what_cannot_be_looked_at_is_said_once_and_again_when_it_is_another(scene: Stage, logged: list[str]) -> None:
    remarking = Remarking(scene.board)
    for _ in range(3):
        remarking.of(ROOT, Scan(blocked=(CLOSED,)))
    assert sum("cannot be looked at" in line for line in logged) == 1
    remarking.of(ROOT, Scan(blocked=(CLOSED, Skipped(path="/nas/other", why="Input/output error"))))
    assert sum("cannot be looked at" in line for line in logged) == 2
    assert scene.board.unreadable == {ROOT: 2}
    remarking.of(ROOT, Scan())
    assert scene.board.unreadable == {}
    assert any("can be looked at again" in line for line in logged)


def test_the_first_places_of_each_kind_are_kept_and_all_are_counted(scene: Stage, logged: list[str]) -> None:
    many = tuple(Skipped(path=f"/nas/{number}", why="w") for number in range(module.SHOWN + 5))
    odd = Skipped(path="/nas/\udcff.safetensors", why="its name is not valid UTF-8")
    look = Remarking(scene.board).of(ROOT, Scan(blocked=many, skipped=(odd,), files=3))
    assert (look.unreadable, look.passed_over, look.files) == (module.SHOWN + 5, 1, 3)
    assert len(look.remarks) == module.SHOWN + 1
    assert look.remarks[-1] == Remark(path="/nas/\\udcff.safetensors", why=odd.why, unreadable=False)
    assert sum("cannot be looked at" in line for line in logged) == module.SHOWN + 1
