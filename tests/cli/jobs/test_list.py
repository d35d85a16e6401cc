from __future__ import annotations

import json

from tests.bus.working import job
from tests.cli.conftest import Call
from tests.cli.jobs.conftest import Fleet


def test_pending_jobs_are_listed_in_the_order_of_claiming(fleet: Fleet, call: Call) -> None:
    for id, priority in (("low", 0), ("high", 900), ("\x1b[31mred", -1)):
        fleet.ask(lambda claims, id=id, priority=priority: claims.submit_all([job(id, "a.pt", priority=priority)]))
    code, out, _ = call("jobs", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["job", "high", "low"]
    assert "comfyui a.pt" in out
    assert "\x1b" not in out


def test_of_one_job_it_is_said_where_its_models_are(fleet: Fleet, call: Call) -> None:
    fleet.ask(lambda claims: claims.submit(job("1", "a.pt", "b.pt")))
    assert "a.pt (on 1) b.pt (on 0)" in call("jobs", "list", "1")[1]


def test_a_state_without_jobs_is_said_to_be_empty(fleet: Fleet, call: Call) -> None:
    assert call("jobs", "list", "--state", "dead") == (0, "", "no job is dead\n")


def test_json_lists_whole_jobs(fleet: Fleet, call: Call) -> None:
    fleet.ask(lambda claims: claims.submit(job("1", "a.pt", payload=b"x")))
    (found,) = json.loads(call("jobs", "list", "--json")[1])
    assert (found["id"], found["state"], found["payload"]) == ("1", "pending", "x")
    assert json.loads(call("jobs", "list", "--state", "done", "--json")[1]) == []


def test_a_job_that_nobody_knows_is_refused(fleet: Fleet, call: Call) -> None:
    code, _, err = call("jobs", "list", "nobody")
    assert code == 65
    assert "There is no job 'nobody'" in err


def test_more_than_a_page_of_pending_jobs_is_listed_once_each(fleet: Fleet, call: Call) -> None:
    fleet.ask(lambda claims: claims.submit_all(job(str(n), "a.pt") for n in range(130)))
    found = [each["id"] for each in json.loads(call("jobs", "list", "--limit", "120", "--json")[1])]
    assert found[:100] == [str(n) for n in range(100)]
    assert len(set(found)) == 120
