from __future__ import annotations

from itertools import pairwise

import pytest

from model_manager.decisions.advancing import NEXT, may
from model_manager.facts.transfer import Phase


def test_every_phase_has_a_row():
    assert set(NEXT) == set(Phase)


@pytest.mark.parametrize("phase", Phase)
def test_progress_within_a_phase_is_always_allowed(phase):
    assert may(phase, phase)


@pytest.mark.parametrize(
    "road",
    [
        "queued resolving fetching verifying placing done",
        "queued resolving verifying placing done",
        "queued placing done",
        "queued resolving fetching waiting queued resolving fetching",
        "queued resolving fetching verifying failed queued",
        "queued waiting queued",
        "done queued",
    ],
)
def test_roads_that_transfers_take(road):
    phases = [Phase(word) for word in road.split()]
    assert all(may(before, then) for before, then in pairwise(phases))


@pytest.mark.parametrize("before", sorted(set(Phase) - {Phase.PLACING, Phase.VERIFYING, Phase.DONE}))
def test_nothing_is_done_that_was_not_verified_or_placed(before):
    assert not may(before, Phase.DONE)


@pytest.mark.parametrize("before", sorted(set(Phase) - {Phase.VERIFYING, Phase.QUEUED, Phase.PLACING}))
def test_a_name_is_given_only_after_verification_or_by_a_link(before):
    assert not may(before, Phase.PLACING)


def test_from_every_phase_there_is_a_road_to_done():
    reached = {Phase.DONE}
    while more := {phase for phase in Phase if NEXT[phase] & reached} - reached:
        reached |= more
    assert reached == set(Phase)
