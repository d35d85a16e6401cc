from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from model_manager.cli.drawing import AROUND, drawn
from tests.cli.making import progress, total, transfer

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FLUX = transfer(
    "flux1-dev-fp8-with-a-long-name.safetensors", bytes=5_100_000_000, total=17_200_000_000, speed=311_000_000, eta=39, connections=8
)  # fmt: skip
ALL = {"models": 12, "present": 3, "moving": 1, "queued": 5, "bytes": 14_200_000_000, "total": 80_100_000_000}
BUSY = progress(
    FLUX,
    transfer("asked.gguf", "resolving"),
    transfer("unknown.gguf", bytes=51_000_000, speed=1_500_000),
    transfer("read.gguf", "verifying", bytes=3, total=4),
    transfer("日本語.gguf", "waiting", why="h did not deliver it: reset", retry_at="2026-01-02T03:04:17Z", attempt=3),
    transfer("gone.gguf", "failed", why="h does not have it", retry_at=""),
    optional=total(models=1, moving=1, total=2_100_000, eta=170),
    **ALL,
    failed=1,
    waiting=1,
    speed=412_000_000,
    eta=160,
)


def lines(said: dict[str, Any], width: int = 140, height: int = 40) -> list[str]:
    return [line.plain for line in drawn(said, width, height, NOW)]


@pytest.mark.parametrize("width", [20, 40, 43, 44, 57, 58, 60, 69, 70, 80, 109, 110, 140, 300])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int) -> None:
    assert all(line.cell_len < width for line in drawn(BUSY, width, 40, NOW))


def test_a_wide_terminal_shows_everything_of_a_download() -> None:
    line = lines(BUSY)[0]
    assert line.startswith("  vae/flux1-dev-fp8-with-a-long-name.safetensors ")
    assert line.split()[-6:] == ["29%", "311", "MB/s", "39s", "5.1/17.2", "GB"] or line.endswith("5.1/17.2 GB   8×")


def test_a_narrow_one_shows_what_matters_most() -> None:
    first, *_, all_, optional = lines(BUSY, 40)
    assert first.endswith(" 29%")
    assert all_ == "  3 of 12, 14.2 of 80.1 GB, 2m40s left"
    assert optional.startswith("  0 of 1 optional")


def test_each_phase_says_what_is_known() -> None:
    _, resolving, unknown, verifying, *_ = lines(BUSY)
    assert resolving.endswith(" resolving")
    assert "%" not in unknown
    assert unknown.split()[-4:] == ["1.5", "MB/s", "51.0", "MB"]
    assert verifying.endswith(" 75%  verifying")


def test_what_waits_says_why_and_until_when() -> None:
    waiting, failed = lines(BUSY)[4:6]
    assert waiting.endswith("waiting (again in 12s, attempt 3): h did not deliver it: reset")
    assert failed.endswith("failed: h does not have it")


def test_all_together_stand_below() -> None:
    assert lines(BUSY)[-2:] == [
        "  3 of 12 models, 14.2 of 80.1 GB, 2m40s left, 412 MB/s, 1 failed, 1 waiting, 5 queued",
        "  0 of 1 optional models, 0.0 of 2.1 MB, 2m50s left",
    ]


def test_optional_models_stay_away_until_they_move() -> None:
    assert len(lines(progress(FLUX, optional=total(models=1, queued=1), **ALL))) == 2


def test_a_time_that_leaves_out_unknown_sizes_is_the_least() -> None:
    assert "at least 10s left" in lines(progress(FLUX, **ALL, eta=10, unknown=2))[-1]


def test_a_low_terminal_keeps_room_for_what_was_said() -> None:
    said = progress(*(transfer(f"{number}.gguf") for number in range(30)), **ALL)
    assert len(lines(said, height=AROUND + 4)) == 4 + 2
    assert "and 26 more" in lines(said, height=AROUND + 4)[4]
    assert len(lines(said, height=1)) == 3


def test_nothing_is_drawn_while_nothing_moves_or_waits() -> None:
    assert lines(progress(models=3, present=3)) == []
    assert drawn({"total": {}, "optional": {}, "transfers": []}, 80, 24, NOW) == []


def test_k12_what_comes_from_outside_moves_no_cursor() -> None:
    evil = transfer("evil\x1b[2J\nname.gguf", "failed", why="\x1b[2Jwhy\r")
    text = "".join(lines(progress(evil, transfer("a\x1b[2J.gguf"), **ALL)))
    assert text.isprintable()
    assert "\\x1b[2J" in text
