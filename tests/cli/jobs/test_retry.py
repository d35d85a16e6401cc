from __future__ import annotations

from model_manager.bus.claims import Claims
from tests.bus.working import job
from tests.cli.conftest import Call
from tests.cli.jobs.conftest import Fleet


def died(fleet: Fleet, *ids: str) -> None:
    async def dying(claims: Claims) -> None:
        for id in ids:
            await claims.submit(job(id, "a.pt"))
            work = await claims.claim("m1", "w")
            assert work is not None
            await claims.fail(work, "broken", how="final")

    fleet.ask(dying)


def test_dead_jobs_come_back(fleet: Fleet, call: Call) -> None:
    died(fleet, "1", "2", "3")
    assert call("jobs", "retry", "2") == (0, "2 in the queue again\n", "")
    assert fleet.ask(lambda claims: claims.job("2")).state == "pending"
    assert call("jobs", "retry", "--dead")[1] == "2 jobs in the queue again\n"
    assert {fleet.ask(lambda claims, id=id: claims.job(id)).state for id in "13"} == {"pending"}


def test_something_must_be_named(fleet: Fleet, call: Call) -> None:
    assert call("jobs", "retry")[0] == 2
    assert call("jobs", "retry", "1", "--dead")[0] == 2


def test_what_is_nowhere_is_said(fleet: Fleet, call: Call) -> None:
    code, _, err = call("jobs", "retry", "nobody")
    assert code == 65
    assert "There is no job" in err
