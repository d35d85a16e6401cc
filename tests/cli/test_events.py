from __future__ import annotations

import json

from model_manager.agent.control.socket import _sse
from model_manager.cli.events import shown
from model_manager.facts.event import Envelope, Event, Gone, ModelVanished, RootLost
from tests.agent.stage import AT
from tests.cli.conftest import Call
from tests.cli.gate import Gate
from tests.cli.making import progress


def said(*events: Event) -> bytes:
    """What the agent's stream says of these, and then it ends."""
    envelopes = (
        Envelope(machine_id="m1", instance="i", epoch=1, seq=seq, at=AT, digest="0" * 32, event=event)
        for seq, event in enumerate(events, 1)
    )
    return b": listening\n\n" + b"".join(_sse(envelope) for envelope in envelopes)


LOST = RootLost(root="/models", why="its marker\nis gone \x1b[31m")
GONE = ModelVanished(models=tuple(Gone(folder="vae", name=f"{n}.gguf", path=f"/m/vae/{n}.gguf") for n in range(8)))


def test_each_event_is_one_line_until_the_stream_ends(agent: Gate, call: Call) -> None:
    agent.answers["/events?progress=10"] = (200, said(LOST, GONE))
    code, out, _ = call("events", "--follow")
    first, second = out.splitlines()
    assert code == 0
    assert "root.lost" in first
    assert "its marker\\nis gone" in first
    assert "\x1b" not in out
    assert "model.vanished" in second


def test_a_program_gets_one_json_object_a_line(agent: Gate, call: Call) -> None:
    agent.answers["/events?progress=10"] = (200, said(LOST))
    (line,) = call("events", "--json")[1].splitlines()
    body = json.loads(line)
    assert (body["seq"], body["kind"], body["data"]["root"]) == (1, "root.lost", "/models")


def test_without_follow_it_ends_at_the_first_quiet_minute(agent: Gate, call: Call) -> None:
    agent.answers["/events?progress=10"] = (200, said(LOST) + b": still here\n\n" + said(GONE))
    assert len(call("events")[1].splitlines()) == 1
    assert len(call("events", "--follow")[1].splitlines()) == 2


def test_long_lists_are_cut_and_counted() -> None:
    line = shown(
        {
            "at": AT,
            "seq": 2,
            "kind": "model.vanished",
            "data": {"models": [{"folder": "v", "name": str(n)} for n in range(8)]},
        }
    )
    assert "models=v/0, v/1, v/2, v/3, v/4 and 3 more" in line


def test_an_event_of_a_newer_agent_is_shown_as_far_as_it_goes() -> None:
    assert "moon.landed" in shown({"kind": "moon.landed", "data": {"crater": 7}})
    assert "moon.landed" in shown({"kind": "moon.landed"})


def test_without_an_agent_there_are_no_events(call: Call) -> None:
    assert call("events")[0] == 75


PROGRESS = {"kind": "progress", "at": AT, "data": progress(models=12, present=3, bytes=1, total=4, eta=160)}


def test_how_far_everything_is_is_one_line(agent: Gate, call: Call) -> None:
    agent.answers["/events?progress=2.5"] = (200, b"event: progress\ndata: " + json.dumps(PROGRESS).encode() + b"\n\n")
    (line,) = call("events", "--progress", "2.5")[1].splitlines()
    assert line.endswith("3 of 12 models, 1 of 4 B, 2 min 40 s left")
    (line,) = call("events", "--progress", "2.5", "--json")[1].splitlines()
    assert json.loads(line) == PROGRESS


def test_nobody_needs_to_hear_how_far_it_is(agent: Gate, call: Call) -> None:
    agent.answers["/events?progress=0"] = (200, said(LOST))
    assert len(call("events", "--progress", "0")[1].splitlines()) == 1
