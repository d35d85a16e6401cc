from __future__ import annotations

import re
from typing import Any

import pytest
from rich.console import Console

from model_manager.cli.overview import doubt, headline, ordered, overview

WIDTHS = (20, 39, 40, 62, 76, 88, 100, 116, 200)


def machine(machine_id: str = "m1", state: str = "live", ready: bool = True, **more: Any) -> dict[str, Any]:
    plain = {
        "machine_id": machine_id, "state": state, "phase": "ready", "ready": ready, "reasons": [], "last_seen": 3,
        "models": 9, "required": 3, "present": 2, "workflows": 2, "workflows_ready": 1, "downloads": 1,
        "speed": 2e6, "eta": 70.0, "free": 5_000_000_000, "version": "0.1.0", "unsure": "",
    }  # fmt: skip
    return plain | more


def fleet(**more: Any) -> dict[str, Any]:
    plain = {
        "exact": True,
        "redis": {"away": None, "age": 0.0, "lag_entries": 0, "lag_seconds": 0.0},
        "machines": {"live": 2, "stale": 1, "away": 0, "ready": 1, "unsure": 0},
        "models": {"distinct": 3, "bytes": 6_940_000_000},
        "workflows": {"assigned": 2, "ready": 1},
        "downloads": {"running": 1, "speed": 2e6},
    }
    return plain | more


def drawn(width: int, *machines: dict[str, Any]) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(overview(machines, width))
    return captured.get()


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    evil = machine("x" * 128, reasons=["r" * 300], version="v" * 300)
    assert all(len(line) <= width for line in drawn(width, evil, machine()).splitlines())


def test_a_wide_terminal_shows_everything() -> None:
    line = drawn(200, machine(reasons=["a is missing"], ready=False)).splitlines()[1].split()
    assert line == [
        "m1",
        "ready",
        "no",
        "2/3",
        "of",
        "9",
        "1/2",
        "2.0",
        "MB/s",
        "1m10s",
        "5.00",
        "GB",
        "0.1.0",
        "a",
        "is",
        "missing",
    ]


def test_those_that_need_somebody_come_first() -> None:
    fleet = [machine("a"), machine("b", "away", False), machine("c", ready=False), machine("d", "stale", False)]
    assert [each["machine_id"] for each in ordered(fleet)] == ["d", "c", "a", "b"]


def test_the_headline_counts() -> None:
    (line,) = headline(fleet())
    assert line.plain == (
        "2 live, 1 stale, 0 away · 1 ready · 1 of 2 workflows served · 3 models, 6.94 GB · 1 download, 2.0 MB/s"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"redis": {"away": "it is gone", "age": 61.0, "lag_entries": 0, "lag_seconds": 0.0}}, "as of 1m01s ago: it is gone"),
        ({"exact": False}, "inventories are being read"),
        ({"exact": False, "machines": {"unsure": 3}}, "inventories are being read: 3 machines to go"),
        ({"redis": {"away": None, "age": 0.0, "lag_entries": 9, "lag_seconds": 2.0}}, "9 events behind, 2s"),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_picture_that_may_not_be_true_says_so(more: dict[str, Any], said: str) -> None:
    assert doubt(fleet(**more)) == said


def test_k12_what_machines_say_moves_no_cursor() -> None:
    text = drawn(200, machine(reasons=["\x1b[2Jwhy\n"], version="\x1b[1m"))
    assert "\x1b[2J" not in text
    assert len(text.splitlines()) == 2


def test_who_beats_no_more_says_since_when_and_who_lives_only_that_it_does() -> None:
    assert "ago" not in drawn(200, machine())
    assert re.search(r" [0-9]+h[0-9]{2}m ago", drawn(200, machine(state="stale")))
