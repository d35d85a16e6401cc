from __future__ import annotations

from pathlib import Path

import pytest
from loguru import logger

from model_manager.cli.model.overhearing import overheard

LOG = Path("/state/log")


def test_what_goes_wrong_is_said_at_the_end_once_and_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    with overheard(LOG):
        for _ in range(3):
            logger.bind(file="/m/evil\x1b[2J", reason="it is away").warning("file could not be read")
        logger.info("nobody needs this")
        before = [line for line in capsys.readouterr().err.splitlines() if line.startswith("!")]
    assert before == []
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("!")]
    assert said == [r"! file could not be read: /m/evil\x1b[2J: it is away"]


def test_very_many_complaints_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with overheard(LOG):
        for number in range(12):
            logger.bind(file=f"/m/{number}").error("file rotted on disk")
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("!")]
    assert (len(said), said[-1]) == (6, "! and 7 more: /state/log")


def test_afterwards_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with overheard(LOG):
        logger.info("nothing")
    logger.warning("later")
    assert "! later" not in capsys.readouterr().err
