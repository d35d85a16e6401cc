"""The pages, the dashboard and the alert rules speak of metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_manager.agent.metrics import metrics as machine_metrics
from model_manager.facts.machine import Disk, Figures, Readiness, WorkflowReadiness
from model_manager.facts.plan import Fetch, Plan
from model_manager.facts.routed import Routed, Starved
from model_manager.facts.transfer import Phase, Transfer
from model_manager.fleet import shapes
from model_manager.fleet.answers import Answers
from model_manager.fleet.metrics import metrics as fleet_metrics
from tests.agent.stage import model, stage, wanted
from tests.bus.telling import Teller
from tests.fleet.made import Now, looked, mirror, view
from tests.fleet.stage import files
from tests.house.tree import ROOT

DOCS = ROOT / "docs"
NAME = re.compile(r"\bmodel_manager_[a-z_]+\b")
DURATION = re.compile(r"[0-9]+[smhd]")
LABEL = re.compile(r"\{\{\s*(?:\$labels\.)?([a-z_]+)")
EVERYWHERE = {"instance", "job"}
"""Labels that Prometheus gives each metric of a target."""

CASE = """
rule_files: ["{rules}"]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: model_manager_fleet_job_claims_total
        values: 0+10x200
      - series: model_manager_fleet_job_claims_missing_total
        values: 0x60 0+1x140
      - series: 'model_manager_fleet_jobs{{state="dead"}}'
        values: 0x100 1x100
      - series: model_manager_fleet_jobs_waiting_for_models
        values: 0x100 7x100
    alert_rule_test:
      - {{eval_time: 110m, alertname: ModelManagerJobsStarve, exp_alerts: []}}
      - eval_time: 120m
        alertname: ModelManagerJobsStarve
        exp_alerts:
          - exp_labels: {{severity: warning}}
            exp_annotations:
              summary: 7 jobs wait for nothing but models
              description: GET /jobs?state=pending names them, and /jobs/{{id}}/explain what each machine lacks. Assign the models, or hand the jobs in with the policy fetch.
      - {{eval_time: 60m, alertname: ModelManagerRoutingInefficient, exp_alerts: []}}
      - eval_time: 130m
        alertname: ModelManagerRoutingInefficient
        exp_alerts:
          - exp_labels: {{severity: warning}}
            exp_annotations:
              summary: More than one job in fifty comes back because a model is not there after all
              description: Somebody deletes models that jobs need, or a disk is lost. GET /jobs?state=pending says why jobs came back.
      - {{eval_time: 90m, alertname: ModelManagerJobsDead, exp_alerts: []}}
"""

Exposed = dict[str, tuple[str, str, str]]
"""Metric → kind, label, meaning."""


def parsed(text: str) -> Exposed:
    helps = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    labels = dict(re.findall(r"^([a-z_]+)\{([a-z_]+)=", text, re.MULTILINE))
    return {name: (kind, labels.get(name, ""), helps[name]) for name, kind in kinds.items()}


async def _of_a_machine(directory: Path) -> str:
    """With everything that a machine can ever tell."""
    async with stage(directory) as scene:
        board, counters = scene.board, scene.board.counters
        counters.discovery_seconds = counters.ready_seconds = counters.scan_seconds = counters.scanned_at = 1.0
        counters.verified = counters.cache_hits = 1
        board.disks = (Disk(root="/m", free=1, total=2, floor=0),)
        flow = WorkflowReadiness(name="w", ready=True)
        board.readiness = Readiness(ready=True, reasons=(), workflows=(flow,), required=1, present=1)
        coming = wanted(model("vae/a.gguf", b"x" * 100))
        path = coming.model.path
        board.plan = Plan(generation="g", steps=(Fetch(wanted=coming, bytes=100),))
        board.transfers = {
            path: Transfer(shelf=path, phase=Phase.FETCHING, bytes=40, total=100, connections=8, host="h.test")
        }
        board.speed = 20.0
        return machine_metrics(board, scene.shelves)


async def _of_the_fleet() -> str:
    """With a machine of which everything is known."""
    seen = view(Now())
    figures = Figures(
        discovery_seconds=1.0, startup_seconds=1.0, inventory_age_seconds=1.0, downloads_verified=1, cache_hits=1
    )
    disk = Disk(root="/m", free=25, total=100, floor=0)
    seen.heard(looked(Teller("m1").beat(figures=figures, disks=(disk,))))
    seen.mirrors._machines["m1"] = mirror(*files("a.pt"))
    seen.moved({"m1": {"vae/a.pt": {"phase": "fetching"}, "total": {"speed": 5.0}}})
    seen.routed, seen.starved = Routed(claims=1), Starved(jobs=1, models={"a.pt": 1})
    row = shapes.WorkflowRow(workflow="w", assigned=1, ready=1)
    return fleet_metrics(seen, await Answers(seen).fleet({}), (row,), 1)


@pytest.fixture
async def exposed(tmp_path: Path) -> Exposed:
    return parsed(await _of_a_machine(tmp_path)) | parsed(await _of_the_fleet())


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]
    assert len({group["name"] for group in groups}) == len(groups)
    return [rule for group in groups for rule in group["rules"]]


def targets() -> Iterator[dict[str, str]]:
    for panel in json.loads((DOCS / "grafana.json").read_text())["panels"]:
        yield from panel.get("targets", ())


def test_the_page_lists_every_metric_as_it_is_exposed(exposed: Exposed) -> None:
    lines = [line for line in (DOCS / "metrics.md").read_text().splitlines() if line.startswith("| `model_manager_")]
    told = {tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines}
    assert told == {(f"`{name}`", label or "-", kind, help) for name, (kind, label, help) in exposed.items()}


def test_every_panel_asks_for_metrics_and_labels_that_exist(exposed: Exposed) -> None:
    asked = list(targets())
    assert len(asked) > 20
    for target in asked:
        names = NAME.findall(target["expr"])
        assert names, target
        assert set(names) <= exposed.keys(), target
        labels = {label for name in names for label in (exposed[name][1],)} | EVERYWHERE
        assert set(LABEL.findall(target["legendFormat"])) <= labels, target


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or panel["targets"], panel["title"]
    assert {"datasource"} == {each["name"] for each in dashboard["templating"]["list"]}
    assert "__inputs" not in dashboard, "it is imported without questions"


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((DOCS / "grafana.json").read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_alert_is_complete_and_asks_for_metrics_that_exist(exposed: Exposed) -> None:
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found) > 8
    for rule in found:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"ModelManager[A-Za-z]+", rule["alert"])
        assert DURATION.fullmatch(rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}
        names = NAME.findall(rule["expr"])
        assert names
        assert set(names) <= exposed.keys(), rule["alert"]
        assert all(rule["expr"].count(left) == rule["expr"].count(right) for left, right in ("()", "{}", "[]"))
        labels = {exposed[name][1] for name in names} | EVERYWHERE | {"value"}
        said = {label for text in rule["annotations"].values() for label in re.findall(r"\$labels\.([a-z_]+)", text)}
        assert said <= labels, rule["alert"]


def test_alerts_name_routes_and_commands_that_exist() -> None:
    from model_manager.fleet.routes import ROUTES

    known = {route.path.split("/")[1] for route in ROUTES}
    for rule in rules():
        for path in re.findall(r"GET /([a-z-]+)", " ".join(rule["annotations"].values())):
            assert path in known, rule["alert"]


@pytest.mark.needs("promtool")
def test_prometheus_takes_the_alert_rules() -> None:
    said = subprocess.run(["promtool", "check", "rules", str(DOCS / "alerts.yml")], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.needs("promtool")
async def test_prometheus_takes_what_a_machine_and_the_fleet_tell(tmp_path: Path) -> None:
    for text in (await _of_a_machine(tmp_path), await _of_the_fleet()):
        said = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


@pytest.mark.needs("promtool")
def test_the_alerts_of_jobs_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    """More than one claim in fifty given back, and a job that is dead."""
    case = tmp_path / "case.yml"
    case.write_text(CASE.format(rules=DOCS / "alerts.yml"))
    said = subprocess.run(["promtool", "test", "rules", str(case)], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
