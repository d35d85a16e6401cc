from __future__ import annotations

import pytest

from model_manager.cli.model import gauge as module
from model_manager.cli.model.gauge import Gauge, sentence


def test_how_far_it_is_is_one_sentence() -> None:
    said = sentence("read", 1203, 30_000, 14_200_000_000, 80_100_000_000, 412e6)
    assert said == "1,203 of 30,000 files read, 14.2 of 80.1 GB, 412 MB/s, 2 min 40 s left"


def test_without_a_speed_nothing_is_promised() -> None:
    assert sentence("read", 0, 3, 0, 5000, 0.0) == "0 of 3 files read, 0.0 of 5.0 kB"


def test_where_nothing_can_be_drawn_a_line_comes_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with Gauge("read") as gauge:
        gauge.say("looking")
        for now in (101.0, 105.0, 111.0, 112.0, 122.0):
            gauge.show(int(now) - 100, 50, int(now - 100) * 1000, 50_000)
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.split(",")[0] for line in said.err.splitlines()] == ["11 of 50 files read", "22 of 50 files read"]
    assert "1.0 kB/s" in said.err
