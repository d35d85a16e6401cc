from __future__ import annotations

import json

import pytest

from model_manager.bus.claims import Claims
from tests.bus.working import job
from tests.cli.conftest import Call
from tests.cli.jobs.conftest import Fleet


@pytest.fixture
def second(fleet: Fleet) -> Fleet:
    """Another machine, with b.pt alone."""
    fleet.rig("m2", "b.pt")
    return fleet


def test_why_nobody_takes_a_job_and_what_it_would_take(second: Fleet, call: Call) -> None:
    second.ask(lambda claims: claims.submit(job("1", "a.pt", "b.pt")))
    code, out, _ = call("jobs", "explain", "1", "--bandwidth", "10MB")
    assert code == 0
    assert out.startswith("0 can take it now, 1 of its kind wait\n  a.pt is on 1\n  b.pt is on 1\n")
    rows = {line.split()[0]: line for line in out.splitlines()[4:]}
    assert set(rows) == {"m1", "m2"}
    assert "b.pt" in rows["m1"]
    assert "100.0 MB, 10 s" in rows["m1"]


def test_a_job_says_who_tried_it_and_how_that_ended(fleet: Fleet, call: Call) -> None:
    async def failed(claims: Claims) -> None:
        await claims.submit(job("1", "a.pt"))
        work = await claims.claim("m1", "w")
        assert work is not None
        await claims.fail(work, "out of\nmemory", backoff=0.0)

    fleet.ask(failed)
    code, out, _ = call("jobs", "explain", "1")
    assert code == 0
    (line,) = [each for each in out.splitlines() if each.startswith("m1 w")]
    assert line.split()[4] == "retry"
    (tried,) = json.loads(call("jobs", "explain", "1", "--json")[1])["tries"]
    assert (tried["machine"], tried["worker"], tried["how"], tried["why"]) == ("m1", "w", "retry", "out of\nmemory")


def test_what_a_job_would_ask_is_explained_without_one(second: Fleet, call: Call) -> None:
    out = call("jobs", "explain", "--service", "comfyui", "--model", "a.pt", "--machine", "m1", "--json")[1]
    answer = json.loads(out)
    assert answer["explanation"]["eligible"] == 1
    assert [(each["machine"], each["fits"]) for each in answer["explanation"]["machines"]] == [("m1", True)]
    assert answer["shortages"] == []


def test_a_size_that_nobody_knows_is_said_to_be_unknown(fleet: Fleet, call: Call) -> None:
    assert "of unknown size" in call("jobs", "explain", "--model", "nobody.pt")[1]


@pytest.mark.parametrize("arguments", [[], ["1", "--model", "a.pt"]])
def test_a_job_or_what_one_asks_is_named(fleet: Fleet, call: Call, arguments: list[str]) -> None:
    assert call("jobs", "explain", *arguments)[0] == 2


def test_a_bandwidth_that_is_none_is_refused(fleet: Fleet, call: Call) -> None:
    assert call("jobs", "explain", "--model", "a.pt", "--bandwidth", "0")[0] == 78


def test_a_machine_that_nobody_heard_of_is_said_to_be_none(fleet: Fleet, call: Call) -> None:
    code, out, _ = call("jobs", "explain", "--model", "a.pt", "--machine", "nobody")
    assert (code, "nobody has heard of 'nobody'" in out) == (0, True)
