from __future__ import annotations

from tests.bus.working import job
from tests.cli.conftest import Call
from tests.cli.jobs.conftest import Fleet


def test_a_job_is_taken_back(fleet: Fleet, call: Call) -> None:
    fleet.ask(lambda claims: claims.submit(job("1", "a.pt")))
    assert call("jobs", "cancel", "1") == (0, "cancelled 1\n", "")
    assert fleet.ask(lambda claims: claims.job("1")).state == "cancelled"


def test_a_job_that_nobody_knows_is_refused(fleet: Fleet, call: Call) -> None:
    assert call("jobs", "cancel", "nobody")[0] == 65
