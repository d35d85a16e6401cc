from __future__ import annotations

from model_manager.agent.board import Counters
from model_manager.agent.transfers.crediting import Crediting
from model_manager.facts.plan import Fetch, Keep, Link, Plan, Refuse
from model_manager.facts.shelf import ShelfPath
from tests.agent.stage import Stage, model, wanted

A, B = wanted(model("vae/a.gguf", b"a")), wanted(model("vae/b.gguf", b"b"))


def plan(*steps: Keep | Link | Fetch | Refuse) -> Plan:
    return Plan(generation="g", steps=steps)


async def test_each_model_counts_once_by_what_was_here_at_first(scene: Stage) -> None:
    held = await scene.holds("vae/a.gguf")
    counters = Counters()
    crediting = Crediting(counters)
    for steps in (
        [Keep(wanted=A, held=held), Fetch(wanted=B, bytes=1)],
        [Keep(wanted=A, held=held), Keep(wanted=B, held=held)],
    ):
        crediting.note(plan(*steps))
    assert (counters.cache_hits, counters.cache_misses) == (1, 1)


async def test_what_may_still_be_found_here_is_not_counted_yet(scene: Stage) -> None:
    held = await scene.holds("vae/x.gguf")
    counters = Counters()
    crediting = Crediting(counters)
    crediting.note(plan(Fetch(wanted=A, bytes=1, candidates=(held,)), Refuse(wanted=B, why="no")))
    crediting.note(plan(Fetch(wanted=A, bytes=1, after=ShelfPath(folder="vae", name="y")), Refuse(wanted=B, why="no")))
    assert (counters.cache_hits, counters.cache_misses) == (0, 0)
    crediting.note(plan(Link(wanted=A, held=held)))
    assert (counters.cache_hits, counters.cache_misses) == (1, 0)


async def test_what_is_wanted_again_counts_again(scene: Stage) -> None:
    held = await scene.holds("vae/a.gguf")
    counters = Counters()
    crediting = Crediting(counters)
    for steps in ([Fetch(wanted=A, bytes=1)], [], [Keep(wanted=A, held=held)]):
        crediting.note(plan(*steps))
    assert (counters.cache_hits, counters.cache_misses) == (1, 1)
