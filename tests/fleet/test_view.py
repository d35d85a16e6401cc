from __future__ import annotations

from dataclasses import replace

import pytest

from model_manager.bus.leases import Looked
from model_manager.facts.machine import Disk
from model_manager.fleet.view import View
from tests.bus.telling import Teller, entry
from tests.fleet.made import Now, become, hold, looked, mirror, view

BEAT = Teller("m1").beat()


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def seen(now: Now) -> View:
    """A view that has heard one beat of m1."""
    made = view(now)
    made.heard(looked(BEAT))
    return made


def test_a_beat_is_fresh_until_it_is_overdue(seen: View, now: Now) -> None:
    assert (seen.state("m1"), seen.ready("m1")) == ("live", True)
    now.seconds += 37
    seen.heard(looked(BEAT))
    assert seen.state("m1") == "live"
    now.seconds += 1
    assert (seen.state("m1"), seen.ready("m1")) == ("stale", False)
    seen.heard(looked(BEAT, deadline=2.0))
    assert (seen.state("m1"), seen.silent("m1")) == ("live", 0.0)


def test_i6_the_clock_of_a_machine_does_not_matter(seen: View, now: Now) -> None:
    for at in ("2036-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "nonsense"):
        now.seconds += 10
        seen.heard(looked(replace(BEAT, at=at), deadline=now.seconds))
        assert seen.state("m1") == "live"


@pytest.mark.parametrize("leases", [looked("m1"), looked()])
def test_l1_a_lease_that_ran_out_is_away_and_remembered(seen: View, leases: Looked) -> None:
    seen.heard(leases)
    assert (seen.state("m1"), seen.ready("m1")) == ("away", False)
    assert seen.heartbeat("m1") == BEAT
    seen.heard(looked(BEAT))
    assert seen.state("m1") == "live"


def test_l7_while_redis_is_away_nobody_is_called_dead(seen: View, now: Now) -> None:
    seen.lost("it is gone")
    assert (seen.state("m1"), seen.age) == ("live", 0.0)
    now.seconds += 3_600
    assert (seen.state("m1"), seen.age) == ("stale", 3_600)
    assert seen.heartbeat("m1") == BEAT


def test_a_machine_without_a_beat_is_stale_and_not_ready(seen: View) -> None:
    assert (seen.state("m9"), seen.ready("m9"), seen.silent("m9"), seen.room("m9")) == ("stale", False, None, None)
    assert not seen.knows("m9")


def test_its_store_takes_what_lies_above_the_floor(seen: View) -> None:
    disks = (Disk(root="/a", free=10, total=100, floor=4), Disk(root="/b", free=99, total=100, floor=0))
    seen.heard(looked(replace(BEAT, disks=disks), deadline=2.0))
    assert seen.room("m1") == 6
    seen.heard(looked(replace(BEAT, disks=(replace(disks[0], floor=11),)), deadline=3.0))
    assert seen.room("m1") == 0


def test_who_is_away_long_enough_is_forgotten(seen: View, now: Now) -> None:
    seen.heard(looked("m1", "m2"))
    assert list(seen.gone_for(60)) == []
    now.seconds += 61
    assert list(seen.gone_for(60)) == ["m1", "m2"]
    seen.forget("m1")
    assert not seen.knows("m1")


def test_rows_are_counted_once_everything_was_read(now: Now) -> None:
    made = view(now)
    become(made, mirror(entry("a.safetensors")))
    assert (dict(made.rows()), list(made.order())) == ({}, [])
    assert made.catalogue.counted == {}
    made.exact = True
    assert made.catalogue.rows(
        lambda place: [(each, {"m1"}) for each in mirror(entry("a.safetensors")).entries.values()]
    )
    assert list(made.order()) == ["loras/a.safetensors"]


def test_what_a_machine_holds_is_added_up_once_for_each_step_of_it(now: Now) -> None:
    made = view(now)
    one = mirror(entry("a.safetensors", size=5))
    assert (made.bytes_of(one), made.bytes_of(one)) == (5, 5)
    assert made.bytes_of(mirror(entry("a.safetensors", size=5), entry("b.safetensors", size=7))) == 12


def test_rows_are_counted_a_few_at_a_time_before_somebody_asks(now: Now) -> None:
    made = view(now)
    hold(made, "m1", *(entry(f"{n}.safetensors") for n in range(5)))
    assert made.count_some(2) is False
    made.exact = True
    assert [made.count_some(2) for _ in range(4)] == [True, True, True, False]
    assert len(made.catalogue.counted) == 5
