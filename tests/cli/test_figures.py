from __future__ import annotations

from datetime import UTC, datetime

import pytest

from model_manager.cli.figures import part_text, size_text, speed_text, spoken_time, time_text, total_text, until_text
from tests.cli.making import total


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


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (14_200_000_000, 80_100_000_000, "14.2 of 80.1 GB"),
        (5_000_000, 80_100_000_000, "0.0 of 80.1 GB"),
        (3, 100, "3 of 100 B"),
        (51_000_000, None, "51.0 MB"),
        (51_000_000, 0, "51.0 MB"),
        (2_000_000, 1_000, "2.0 of 0.0 MB"),
    ],
)
def test_a_part_and_its_whole_have_one_unit(part: float, whole: float | None, text: str) -> None:
    assert part_text(part, whole) == text


@pytest.mark.parametrize(
    ("speed", "text"), [(0, "0 B/s"), (1_500, "1.5 kB/s"), (412_000_000, "412 MB/s"), (1_050_000_000, "1.1 GB/s")]
)
def test_speeds_are_short(speed: float, text: str) -> None:
    assert speed_text(speed) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (42, "42 s"), (160, "2 min 40 s"), (7500, "2 h 05 min")])
def test_times_are_spoken_in_sentences(seconds: float, text: str) -> None:
    assert spoken_time(seconds) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-01-02T03:04:17.000Z", "again in 12s"),
        ("2026-01-02T03:04:05.500Z", "again now"),
        ("2026-01-01T00:00:00Z", "again now"),
        ("", ""),
        ("in 4.0 s", ""),
        ("2026-01-02T03:04:17", ""),
    ],
)
def test_the_next_attempt_is_told_from_now(moment: str, text: str) -> None:
    assert until_text(moment, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == text


def test_many_models_are_a_sentence() -> None:
    most = {
        "models": 12,
        "present": 3,
        "bytes": 14_200_000_000,
        "total": 80_100_000_000,
        "speed": 412_000_000,
        "eta": 160,
    }
    assert total_text(total(**most)) == "3 of 12 models, 14.2 of 80.1 GB, 412 MB/s, 2 min 40 s left"
    more = total_text(total(**most, unknown=2, waiting=1, failed=1))
    assert more.endswith("at least 2 min 40 s left, 2 of unknown size, 1 waiting, 1 failed")
    assert total_text(total(models=2)) == "0 of 2 models"
