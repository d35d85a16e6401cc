from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.decisions.retrying import ASKED_AT_MOST, REFUSED, SLOWEST, Never, Retry, after
from model_manager.errors import (
    BadContent,
    BadPath,
    BadRecord,
    BadUrl,
    Corrupt,
    NoSpace,
    NotAuthorized,
    NotFound,
    NotPublic,
    Occupied,
    OriginUnavailable,
    RangeBeyond,
    RootAway,
)

FACTS = {
    "host": "h", "name": "n", "why": "w", "status": 403, "token": "T", "where": "w", "root": "/m", "path": "p", "url": "u",
    "free": 0, "need": 1, "floor": 1, "start": 3,
}  # fmt: skip


def made(kind, **more):
    return kind(**FACTS, **({"size": 3} if kind is RangeBeyond else {}), **more)


def retry(error, failures=1, attempts=3, stalled=False, chance=0.5):
    return after(error, failures, attempts, stalled, chance)


@pytest.mark.parametrize(
    ("error", "failures", "seconds", "failed"),
    [
        (OriginUnavailable, 1, 1, False),
        (OriginUnavailable, 2, 2, False),
        (OriginUnavailable, 3, 4, True),
        (OriginUnavailable, 6, 32, True),
        (OriginUnavailable, 7, SLOWEST, True),
        (OriginUnavailable, 10_000, SLOWEST, True),
        (Corrupt, 1, 1, False),
        (Corrupt, 2, REFUSED, True),
        (RangeBeyond, 1, 1, False),
        (NotAuthorized, 1, SLOWEST * 1.125, True),
        (NotPublic, 1, SLOWEST * 1.125, True),
        (NotFound, 1, REFUSED, True),
        (NoSpace, 1, 5, False),
        (NoSpace, 3, 5, True),
        (RootAway, 1, 5, False),
        (BadPath, 1, SLOWEST, True),
        (BadUrl, 1, REFUSED, True),
        (Occupied, 1, SLOWEST, True),
    ],
)
def test_how_long_and_whether_it_counts_as_failed(error, failures, seconds, failed):
    assert retry(made(error), failures) == Retry(seconds=seconds, failed=failed)


@pytest.mark.parametrize("error", [BadRecord, BadContent])
def test_what_was_refused_for_good_is_not_tried_again_by_itself(error):
    assert retry(made(error)) == Never()


def test_a_stall_longer_than_the_owner_allows_counts_as_failed_and_is_still_tried():
    assert retry(made(OriginUnavailable), stalled=True) == Retry(seconds=1, failed=True)


@pytest.mark.parametrize(("asked", "least", "most"), [(30, 30, 37.5), (0, 1, 1.25), (-5, 1, 1.25), (1e9, 3600, 4500)])
@pytest.mark.parametrize("chance", [0, 0.5, 1])
def test_b11_a_wish_to_wait_is_honoured_within_bounds_and_spread(asked, least, most, chance):
    then = retry(made(OriginUnavailable, retry_after=asked), chance=chance)
    assert least <= then.seconds <= most


@given(st.integers(1, 1000), st.floats(0, 1))
def test_a_cleared_fault_heals_within_a_minute_or_so(failures, chance):
    then = after(made(OriginUnavailable), failures, 3, False, chance)
    assert 0.75 <= then.seconds <= SLOWEST * 1.25


@given(
    st.integers(1, 1000),
    st.floats(0, 1),
    st.sampled_from([OriginUnavailable, Corrupt, NotAuthorized, NotFound, NoSpace]),
)
def test_no_wait_is_longer_than_the_longest_that_may_be_asked(failures, chance, kind):
    then = after(made(kind), failures, 3, False, chance)
    assert isinstance(then, Retry)
    assert 0 < then.seconds <= ASKED_AT_MOST


def test_b12_machines_that_failed_together_come_back_apart():
    waits = {after(made(NotAuthorized), 1, 3, False, chance / 10).seconds for chance in range(11)}
    assert len(waits) == 11
    assert min(waits) >= 60
