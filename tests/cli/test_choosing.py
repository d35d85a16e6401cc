from __future__ import annotations

from typing import Any

import pytest

from model_manager.cli.choosing import Choice, pressed


def machine(machine_id: str, **more: Any) -> dict[str, Any]:
    plain = {
        "machine_id": machine_id, "state": "live", "phase": "ready", "ready": True, "models": 1, "downloads": 0,
        "speed": 0.0, "free": None, "version": "1.0", "host": "rack-1", "reasons": (),
    }  # fmt: skip
    return plain | more


A = machine("a", models=5, free=100)
B = machine("b", models=9, downloads=1, speed=2.0, ready=False, reasons=("flux is missing",))
C = machine("c", state="stale", free=50, downloads=2, speed=9.0)
D = machine("d", state="away")
ALL = [D, C, B, A]


def names(choice: Choice) -> str:
    return "".join(each["machine_id"] for each in choice.chosen(ALL))


@pytest.mark.parametrize(
    ("by", "order"), [("need", "cbad"), ("machine", "abcd"), ("moving", "cbad"), ("free", "cabd"), ("models", "bacd")]
)
def test_each_order(by: str, order: str) -> None:
    assert names(Choice(by=by)) == order


@pytest.mark.parametrize(
    ("text", "found"), [("", "cbad"), ("FLUX", "b"), ("stale", "c"), ("not ready", "b"), ("rack-1", "cbad"), ("zz", "")]
)
def test_a_text_stands_in_the_line_of_a_machine(text: str, found: str) -> None:
    assert names(Choice(text=text)) == found


def after(keys: list[str], choice: Choice | None = None) -> Choice | None:
    choice = choice or Choice()
    for key in keys:
        assert choice is not None
        choice = pressed(choice, key, 10)
    return choice


def test_s_goes_through_all_orders_and_begins_anew() -> None:
    assert after(["s"]) == Choice(by="machine")
    assert after(["s"] * 5) == Choice()


def test_a_filter_is_typed_corrected_kept_and_ended() -> None:
    assert after(["/", "g", "p", "\x7f", "u", "q", "\r"]) == Choice(text="guq")
    assert after(["/", "g", "\x1b[A", "\x1b"]) == Choice()
    assert after(["/", "g", "\r", "\x1b"]) == Choice()
    assert after(["/", *"x" * 100, "\n"]) == Choice(text="x" * 60)


def test_q_leaves_but_not_while_one_types() -> None:
    assert after(["q"]) is None
    assert after(["/", "q"]) == Choice(text="q", typing=True)


def test_scrolling_begins_at_the_first_and_ends_with_the_last() -> None:
    assert after(["\x1b[B", "j", " ", "k", "\x1b[5~", "\x1b[A"]) == Choice(first=0)
    assert after([" ", " ", "\x1b[6~"]) == Choice(first=30)
    assert Choice(first=30).within(25, 10) == Choice(first=15)
    assert Choice(first=30).within(5, 10) == Choice(first=0)


@pytest.mark.parametrize("key", ["x", "\x1b[H", "\x1bOP", "ä", "\x00"])
def test_a_key_that_means_nothing_changes_nothing(key: str) -> None:
    assert after([key], Choice(first=3)) == Choice(first=3)
