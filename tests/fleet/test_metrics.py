from __future__ import annotations

import re

from model_manager.facts.machine import Disk, Figures
from model_manager.facts.routed import Routed, Starved
from model_manager.fleet import shapes
from model_manager.fleet.answers import Answers
from model_manager.fleet.metrics import metrics
from tests.bus.telling import Teller
from tests.fleet.made import Now, looked, view

LINE = re.compile(r'(?:# (?:HELP|TYPE) [a-z_]+ .+|[a-z_]+(?:\{[a-z]+="(?:[^"\\\n]|\\.)*"\})? -?[0-9.e+]+)')


async def text_of(*machines: str, workflows: tuple[shapes.WorkflowRow, ...] = ()) -> str:
    seen = view(Now())
    seen.heard(looked(*(Teller(machine).beat() for machine in machines)))
    return metrics(seen, await Answers(seen).fleet({}), workflows, 2)


async def test_every_line_is_of_the_exposition_format() -> None:
    evil = shapes.WorkflowRow(workflow='a"b\\c\nd', assigned=2, ready=1)
    text = await text_of("m1", "m2", workflows=(evil,))
    assert [line for line in text.splitlines() if not LINE.fullmatch(line)] == []
    assert 'workflow="a\\"b\\\\c\\nd"' in text
    assert text.endswith("\n")


async def test_a_name_is_described_once() -> None:
    heads = [line for line in (await text_of("m1", "m2")).splitlines() if line.startswith("# TYPE")]
    assert len(set(heads)) == len(heads)


async def test_what_machines_measured_is_told_and_summed() -> None:
    seen = view(Now())
    figures = (
        Figures(startup_seconds=12.5, downloads_verified=3, downloads_failed=1, cache_hits=1),
        Figures(downloads_verified=4, cache_misses=3),
        None,
    )
    disk = Disk(root="/m", free=25, total=100, floor=0)
    beats = [Teller(f"m{n}").beat(figures=each, disks=(disk,)) for n, each in enumerate(figures)]
    seen.heard(looked(*beats))
    text = metrics(seen, await Answers(seen).fleet({}), (), 0)
    for line in (
        'machine_startup_seconds{machine="m0"} 12.5',
        'machine_downloads_verified_total{machine="m1"} 4',
        "download_success_ratio 0.875",
        "model_cache_hit_ratio 0.25",
        'machine_storage_utilization_ratio{machine="m0"} 0.75',
    ):
        assert f"model_manager_fleet_{line}\n" in text
    assert "# TYPE model_manager_fleet_machine_downloads_verified_total counter\n" in text
    assert 'machine_startup_seconds{machine="m1"}' not in text
    assert 'machine_downloads_verified_total{machine="m2"}' not in text


async def test_machines_are_told_one_by_one() -> None:
    text = await text_of("m1")
    for line in ('machine_up{machine="m1"} 1', 'machine_ready{machine="m1"} 1', "listeners 2", "redis_connected 1"):
        assert f"model_manager_fleet_{line}\n" in text
    assert "room_bytes" not in text


async def test_what_became_of_jobs_is_told_as_the_pool_counts_it() -> None:
    seen = view(Now())
    seen.routed = Routed(claims=50, hot=20, fetched=5, missing=1, waiting=3, dead=2)
    text = metrics(seen, await Answers(seen).fleet({}), (), 0)
    for line in (
        "job_claims_total 50",
        "job_claims_hot_total 20",
        "routing_efficiency_ratio 0.97999999999999998",
        "job_cache_hit_ratio 0.90000000000000002",
        'jobs{state="waiting"} 3',
        'jobs{state="dead"} 2',
    ):
        assert f"model_manager_fleet_{line}\n" in text
    assert "# TYPE model_manager_fleet_job_claims_total counter\n" in text


async def test_of_jobs_that_may_not_be_read_nothing_is_told_and_of_none_no_part() -> None:
    assert "job" not in await text_of("m1")
    seen = view(Now())
    seen.routed = Routed()
    text = metrics(seen, await Answers(seen).fleet({}), (), 0)
    assert "model_manager_fleet_job_claims_total 0\n" in text
    assert "routing_efficiency_ratio" not in text


async def test_what_jobs_wait_for_is_told_of_those_models_for_which_most_wait() -> None:
    seen = view(Now())
    assert "waiting" not in metrics(seen, await Answers(seen).fleet({}), (), 0)
    seen.starved = Starved(jobs=900, models={f"{n}.pt": n for n in range(60)} | {'a"\n': 100})
    text = metrics(seen, await Answers(seen).fleet({}), (), 0)
    assert "model_manager_fleet_jobs_waiting_for_models 900\n" in text
    assert 'model_jobs_waiting{model="59.pt"} 59\n' in text
    assert 'model_jobs_waiting{model="a\\"\\n"} 100\n' in text
    assert text.count("model_jobs_waiting{") == 50
    assert 'model="5.pt"' not in text
