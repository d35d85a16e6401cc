from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.decisions.ordering import SMALL, UNKNOWN, ordered, small
from model_manager.facts.model import Assignment, Requirements, Wanted, WorkflowNeed
from model_manager.facts.plan import Fetch
from tests.decisions.making import model, shelf

GIB = 1 << 30


def fetch(name: str, size: int = 0, *, required: bool = True, after: str | None = None) -> Fetch:
    wanted = Wanted(model=model(f"vae/{name}.gguf"), required=required, needed_by=())
    return Fetch(wanted=wanted, bytes=size, after=shelf(f"vae/{after}.gguf") if after else None)


def need(name: str, models: str = "", *, unknown: str | None = None) -> WorkflowNeed:
    """A workflow and its models, each called by one letter."""
    return WorkflowNeed(name=name, required=tuple(shelf(f"vae/{each}.gguf") for each in models), unknown=unknown)


def order(fetches, *workflows: WorkflowNeed, present: str = "") -> str:
    asked = Requirements(generation="g", assignment=Assignment(), workflows=workflows)
    found = ordered(fetches, asked, [shelf(f"vae/{each}.gguf") for each in present])
    return "".join(each.wanted.model.path.name[0] for each in found)


@pytest.mark.parametrize(
    ("fetches", "workflows", "present", "expected"),
    [
        ([], [need("w", "a")], "", ""),
        ([fetch("b", 2), fetch("a", 3)], [need("w", "ab")], "", "ba"),
        ([fetch("b", 2), fetch("a", 2)], [need("w", "ab")], "", "ab"),
        ([fetch("a", 1, required=False), fetch("b", 9)], [need("w", "b")], "", "ba"),
        ([fetch("b", 2, required=False), fetch("a", 9, required=False)], [need("w", "")], "", "ba"),
        # the workflow that lacks fewer bytes goes first, whole
        ([fetch("a", 5), fetch("b", 4), fetch("c", 3), fetch("d", 1)], [need("w", "da"), need("v", "cb")], "", "dacb"),
        ([fetch("a", 9), fetch("c", 3)], [need("w", "ab"), need("v", "cd")], "bd", "ca"),
        # of equals, the name decides
        ([fetch("a", 3), fetch("b", 3)], [need("w", "a"), need("v", "b")], "", "ba"),
        # unknown length counts as large: for the workflow, and within it
        ([fetch("a"), fetch("b", 900 * GIB)], [need("v", "a"), need("w", "b")], "", "ba"),
        ([fetch("a"), fetch("b", 9)], [need("w", "ab")], "", "ba"),
        # a shared model goes with the nearer workflow, and the other is nearer for it
        ([fetch("a", 4), fetch("b", 1), fetch("c", 2), fetch("d", 4)],
         [need("u", "ab"), need("v", "ac"), need("w", "d")], "", "dbac"),
        ([fetch("a", 3), fetch("b", 1), fetch("c", 2), fetch("d", 5)],
         [need("u", "ab"), need("v", "ac"), need("w", "d")], "", "bacd"),
        # what can never be ready goes last
        ([fetch("a", 1), fetch("b", 9)], [need("v", "ax"), need("w", "b")], "", "ba"),
        ([fetch("a", 1), fetch("b", 9)], [need("v", "a", unknown="x: no such model"), need("w", "b")], "", "ba"),
        # what the machine itself needs is one need among others
        ([fetch("a", 5), fetch("b", 3), fetch("c", 1), fetch("d", 6)], [need("w", "ab")], "", "cdba"),
        # whoever waits for another follows it, and its workflow lacks the other's bytes
        ([fetch("a", after="z"), fetch("z", 5), fetch("b", 7)], [need("v", "a"), need("w", "zb")], "", "zab"),
        ([fetch("a", after="z"), fetch("z", 9, required=False), fetch("b", 7)], [need("v", "a"), need("w", "b")], "", "bza"),
    ],
)  # fmt: skip
def test_in_which_order_downloads_start(fetches, workflows, present, expected):
    assert order(fetches, *workflows, present=present) == expected
    assert order(reversed(fetches), *reversed(workflows), present=present) == expected


@pytest.mark.parametrize(
    ("size", "short"), [(0, False), (1, True), (SMALL, True), (SMALL + 1, False), (20 * GIB, False)]
)
def test_only_what_is_known_to_be_short_may_overtake(size, short):
    assert small(fetch("a", size)) is short


def test_an_unknown_length_is_longer_than_any_model():
    assert UNKNOWN > 1000 * GIB


letters = "abcdefgh"


@given(
    st.dictionaries(st.sampled_from(letters), st.tuples(st.integers(0, 5), st.booleans())),
    st.lists(st.text(letters, max_size=5), max_size=5),
    st.text(letters, max_size=3),
)
def test_every_download_is_in_the_order_once_and_required_ones_before_the_others(sizes, workflows, present):
    fetches = [fetch(name, size, required=required) for name, (size, required) in sizes.items()]
    found = order(fetches, *(need(f"w{number}", models) for number, models in enumerate(workflows)), present=present)
    assert sorted(found) == sorted(sizes)
    flags = [sizes[name][1] for name in found]
    assert flags == sorted(flags, reverse=True)


def test_each_workflow_that_is_served_brings_its_neighbours_nearer():
    fetches = [fetch(str(number), number + 1) for number in range(1000)]
    workflows = [
        WorkflowNeed(name=str(number), required=tuple(each.wanted.model.path for each in fetches[number : number + 20]))
        for number in range(1000)
    ]
    asked = Requirements(generation="g", assignment=Assignment(), workflows=tuple(workflows))
    assert [each.bytes for each in ordered(fetches, asked, ())] == list(range(1, 1001))
