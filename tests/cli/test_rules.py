"""Rules and notices from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Call
from tests.cli.fleetful import Fleetful
from tests.fleet.stage import TOKEN


@pytest.fixture(scope="module")
def fleetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleetful]:
    with Fleetful(tmp_path_factory.mktemp("state")) as fleet:
        yield fleet


@pytest.fixture
def at(fleetful: Fleetful, bare: None, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("MODEL_MANAGER_FLEET_TOKEN", TOKEN)
    return "--url", fleetful.url


def test_a_rule_is_made_shown_tried_out_and_removed(call: Call, at: tuple[str, str]) -> None:
    code, out, _ = call(
        "fleet", "rules", "add", "full disks", "disk.low", "--below-percent", "10", "--machine", "gpu-*", *at
    )
    assert (code, out.startswith("rule ")) == (0, True)
    rule = out.split()[1]
    _, out, _ = call("fleet", "rules", "list", *at)
    assert all(word in out for word in (rule, "full disks", "disk.low", "gpu-*"))
    code, out, _ = call("fleet", "rules", "test", rule, *at)
    assert (code, out.strip()) == (0, "told; the rule has no webhook")
    _, out, _ = call("fleet", "notifications", *at)
    assert "This is a test of the rule 'full disks'" in out
    assert call("fleet", "rules", "remove", rule, *at)[0] == 0
    assert "there is no rule" in call("fleet", "rules", "list", *at)[1]
    code, _, err = call("fleet", "rules", "remove", rule, *at)
    assert (code, "There is no rule" in err) == (65, True)


def test_a_secret_is_shown_once_and_a_receiver_that_is_away_is_75(call: Call, at: tuple[str, str]) -> None:
    webhook = ("--webhook", "http://hooks.invalid/private-part")
    code, out, _ = call("fleet", "rules", "add", "quiet", "machine.silent", *webhook, "--json", *at)
    made = json.loads(out)
    assert (code, made["secret"].startswith("whsec_")) == (0, True)
    code, _, err = call("fleet", "rules", "test", made["rule"]["id"], *at)
    assert (code, "The webhook did not take it" in err) == (75, True)
    shown = call("fleet", "rules", "list", "--json", *at)[1] + call("fleet", "notifications", "--json", *at)[1]
    assert made["secret"] not in shown
    assert "private-part" not in shown


def test_what_cannot_be_meant_and_who_is_not_there_are_told_apart(call: Call, at: tuple[str, str]) -> None:
    code, _, err = call("fleet", "rules", "add", "n", "disk.low", *at)
    assert (code, "below_bytes" in err) == (65, True)
    code, _, err = call("fleet", "rules", "list", "--url", "http://127.0.0.1:1")
    assert (code, "No aggregator answers" in err) == (75, True)
