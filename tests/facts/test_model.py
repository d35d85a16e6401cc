from __future__ import annotations

import pytest

from model_manager.facts.model import Assignment


@pytest.mark.parametrize(
    ("assignment", "empty"),
    [
        (Assignment(), True),
        (Assignment(workflows=("a",)), False),
        (Assignment(collections=("a",)), False),
        (Assignment(components=("a",)), False),
        (Assignment(models=("a",)), False),
    ],
)
def test_g1_an_assignment_is_empty_only_when_every_list_is(assignment, empty):
    assert assignment.empty is empty


def test_components_are_served_as_workflows_once_each():
    assert Assignment(workflows=("a", "b"), components=("b", "c")).served == ("a", "b", "c")


def test_two_assignments_together_lose_nothing_and_repeat_nothing():
    ours = Assignment(workflows=("a",), models=("m",))
    both = ours.with_(Assignment(workflows=("b", "a"), collections=("c",)))
    assert both == Assignment(workflows=("a", "b"), collections=("c",), models=("m",))
    assert ours.with_(Assignment()) == ours
