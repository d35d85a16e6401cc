from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from model_manager.facts.event import AssignmentChanged
from model_manager.facts.machine import Disk, Readiness, WorkflowReadiness
from model_manager.facts.mirror import Said
from model_manager.fleet.models.catalogue import Catalogue
from model_manager.fleet.rows import assigned, download, folders, machine_row, pace_of
from model_manager.fleet.view import View
from tests.bus.telling import Teller, entry
from tests.fleet.made import Now, looked, mirror, mirrors, view


def test_a_machine_that_was_never_heard_of_is_all_zeros() -> None:
    row = machine_row(view(Now()), "m9")
    assert (row.state, row.ready, row.models, row.free, row.last_seen, row.host) == ("stale", False, 0, None, None, "")


def test_directories_of_one_disk_count_once() -> None:
    one = Disk(root="/a", free=10, total=100, floor=0)
    seen = view(Now())
    seen.heard(looked(Teller("m1").beat(disks=(one, replace(one, root="/b"), replace(one, root="/c", free=5)))))
    row = machine_row(seen, "m1")
    assert (row.free, row.total) == (15, 200)


def test_files_in_quarantine_are_counted_over_all_directories_and_unknown_where_nobody_told() -> None:
    one = Disk(root="/a", free=10, total=100, floor=0)
    seen = view(Now())
    seen.heard(
        looked(
            Teller("m1").beat(
                disks=(one, replace(one, root="/b", quarantined=2), replace(one, root="/c", quarantined=1))
            )
        )
    )
    seen.heard(looked(Teller("m2").beat(disks=(one,))))
    assert (machine_row(seen, "m1").quarantined, machine_row(seen, "m2").quarantined) == (3, None)


@pytest.mark.parametrize("body", [{}, {"bytes": "x", "total": True, "speed": None, "phase": 3, "why": ["x"]}])
def test_k8_a_download_that_says_nonsense_is_unknown(body: dict[str, Any]) -> None:
    told = download("vae/x", body)
    assert (told.bytes, told.total, told.speed, told.phase, told.why) == (0, None, 0.0, "", "")


@pytest.mark.parametrize("told", [{"total": 3, "vae/x": "text"}, {"total": {"speed": "fast"}, "vae/x": {}}, {}])
def test_k8_progress_that_says_nonsense_moves_nothing(told: dict[str, Any]) -> None:
    seen = view(Now())
    seen.moved({"m1": told})
    pace = pace_of(seen, "m1")
    assert (pace.running, pace.speed, pace.eta) == (0, 0.0, None)


def test_folders_are_counted() -> None:
    rows = folders(mirror(entry("a.safetensors"), entry("b.safetensors"), entry("c.safetensors", "vae", size=7)))
    assert [(row.folder, row.models, row.bytes) for row in rows] == [("loras", 2, 3_000_000), ("vae", 1, 7)]
    assert folders(None) == ()


def test_an_assignment_is_what_the_machine_told_of_it() -> None:
    told = AssignmentChanged(
        generation="g", workflows=("flux",), collections=(), models=("a",), required=1, problems=("p",)
    )  # fmt: skip
    shown = assigned(mirror(said=Said(assignment=told)), None)
    assert shown is not None
    assert (shown.generation, shown.workflows, shown.problems) == ("g", ("flux",), ("p",))
    assert assigned(mirror(), None) is None
    assert assigned(mirror(), Teller("m1").beat()) is None


def test_an_assignment_whose_event_was_not_heard_is_as_the_heartbeat_tells_it() -> None:
    flow = WorkflowReadiness(name="flux", ready=True)
    readiness = Readiness(ready=True, reasons=(), workflows=(flow,), generation="g", required=3)
    shown = assigned(mirror(), Teller("m1").beat(readiness=readiness, collections=("art",)))
    assert shown is not None
    assert (shown.generation, shown.workflows, shown.collections, shown.required) == ("g", ("flux",), ("art",), 3)
    assert assigned(None, None) is None


def test_a_beat_changes_nothing_of_a_live_machine_and_of_a_stale_one_the_last_counts() -> None:
    now, wall = Now(), Now()
    wall.seconds = 1_000_000.0
    catalogue = Catalogue()
    seen = View(mirrors(catalogue), catalogue, 37.5, now, wall)
    seen.reached()
    teller, rows = Teller("m1"), []
    for n in range(3):
        seen.heard(looked(replace(teller.beat(), at=f"2020-01-01T00:00:{n:02}Z"), deadline=float(n)))
        rows.append(machine_row(seen, "m1"))
        now.seconds += 5
        wall.seconds += 5
    assert rows[0] == rows[1] == rows[2]
    assert rows[0].last_seen == 1_000_000 // 60 * 60
    now.seconds += 40
    wall.seconds += 40
    assert (seen.state("m1"), machine_row(seen, "m1").last_seen) == ("stale", 1_000_010)
    wall.seconds += 70
    assert machine_row(seen, "m1").last_seen == 1_000_010
