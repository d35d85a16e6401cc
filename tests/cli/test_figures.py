from __future__ import annotations

import pytest

from model_manager.cli.figures import size_text, time_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "?"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (6_940_000_000, "6.94 GB"),
        (17_200_000_000, "17.2 GB"),
        (2 * 10**12, "2.00 TB"),
    ],
)
def test_sizes_are_written_as_model_pages_write_them(size: float | None, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0s"), (42.4, "42s"), (59.9, "1m00s"), (190, "3m10s"), (3600, "1h00m"), (7500, "2h05m")],
)
def test_times_are_written_as_people_say_them(seconds: float | None, text: str) -> None:
    assert time_text(seconds) == text
