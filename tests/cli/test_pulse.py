from __future__ import annotations

from model_manager.cli.pulse import BETWEEN, Pulse
from tests.cli.making import progress, total, transfer


def moving(have: int) -> dict[str, object]:
    return progress(transfer(), models=2, moving=1, bytes=have, total=100)


def test_a_line_is_said_every_ten_seconds_and_not_sooner() -> None:
    pulse = Pulse()
    said = [second for second in range(100) if pulse.line(moving(second), float(second))]
    assert said == list(range(0, 100, int(BETWEEN)))


def test_what_is_not_new_is_not_said_again() -> None:
    pulse = Pulse()
    assert pulse.line(moving(1), 0.0) == "0 of 2 models, 1 of 100 B"
    assert pulse.line(moving(1), 50.0) == ""
    assert pulse.line(moving(2), 51.0) == "0 of 2 models, 2 of 100 B"


def test_a_download_that_is_over_in_no_time_says_nothing() -> None:
    pulse = Pulse()
    assert pulse.line(progress(models=1, present=1), 100.0) == ""
    assert pulse.line(moving(1), 101.0) == ""
    assert pulse.line(moving(2), 100.0 + BETWEEN) != ""


def test_optional_models_are_told_of_when_the_others_are_here() -> None:
    said = progress(transfer(), optional=total(models=1, moving=1), models=2, present=2)
    assert Pulse().line(said, 0.0) == "0 of 1 models (optional)"
