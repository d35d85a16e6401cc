from __future__ import annotations

from model_manager.facts.model import Wanted
from model_manager.facts.plan import Check, Fetch, Keep, Link, Plan, Refuse
from tests.decisions.making import held, model

WANTED = Wanted(model=model(), required=True, needed_by=("machine",))


def test_only_fetches_cross_the_network():
    here = held()
    idle = (
        Keep(wanted=WANTED, held=here),
        Check(wanted=WANTED, held=here),
        Link(wanted=WANTED, held=here),
        Refuse(wanted=WANTED, why="no"),
    )
    assert Plan(generation="g", steps=idle).bytes == 0
    assert Plan(generation="g", steps=(*idle, Fetch(wanted=WANTED, bytes=3), Fetch(wanted=WANTED, bytes=4))).bytes == 7
