from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loguru import logger
from pydantic import SecretStr

from model_manager.agent import logs
from model_manager.agent.logs import start_logs
from tests.agent.stage import settings


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("pm_id", raising=False)
    yield
    logger.remove()


Console = Callable[[], str]


@pytest.fixture
def console(capsys: pytest.CaptureFixture[str]) -> Console:
    """What was written to standard error since the last look."""
    return lambda: capsys.readouterr().err


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_each_event_is_one_line_of_json_with_its_fields(tmp_path: Path, console: Console) -> None:
    file = tmp_path / "log" / "m.log"
    start_logs(file, "INFO")
    logger.bind(model="vae/a", bytes=7, reasons=["x", "y"]).info("model verified")
    (line,) = lines(file)
    assert line.pop("at")
    assert line == {"level": "INFO", "event": "model verified", "model": "vae/a", "bytes": 7, "reasons": ["x", "y"]}


def test_a_person_reads_one_line_too(tmp_path: Path, console: Console) -> None:
    start_logs(None, "INFO")
    logger.bind(model="vae/a", empty="", reasons=["x", "y"]).warning("not ready")
    (line,) = console().splitlines()
    assert line.endswith("not ready  model=vae/a reasons=x, y")
    assert "WARNING" in line


@pytest.mark.parametrize("evil", ["a\nERROR forged", "\x1b[31mred", "\u202egnp", "\udcff", "a\r\nb"])
def test_k12_what_comes_from_outside_stays_on_its_line(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch, evil: str
) -> None:
    for pm2 in (False, True):
        if pm2:
            monkeypatch.setenv("pm_id", "0")
        file = tmp_path / f"{pm2}.log"
        start_logs(file, "INFO")
        logger.bind(model=evil, reasons=[evil], problems=(evil,), of={"a": evil}).info(f"said {evil}")
        assert len(lines(file)) == 1
        (written,) = console().splitlines()
        assert written.isprintable()


def test_under_pm2_the_console_speaks_json(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("pm_id", "3")
    start_logs(None, "INFO")
    logger.bind(model="vae/a").error("download failed")
    assert json.loads(console())["event"] == "download failed"


def test_the_level_is_kept_and_a_terminal_may_be_left_alone(tmp_path: Path, console: Console) -> None:
    file = tmp_path / "m.log"
    start_logs(file, "WARNING", console=False)
    logger.info("quiet")
    logger.warning("loud")
    assert [line["event"] for line in lines(file)] == ["loud"]
    assert console() == ""


def test_k12_secrets_stay_out_of_it(tmp_path: Path, console: Console) -> None:
    file = tmp_path / "m.log"
    start_logs(file, "TRACE")
    known = settings(tmp_path, HF_TOKEN="hf_CANARY", REDIS_URL="redis://:CANARY@h/0", EMPROPS_API_KEY="CANARY")
    logger.bind(settings=known, token=SecretStr("CANARY"), all=[known.hf_token]).info("settings read again")
    logger.bind(found=known.model_dump()).info(f"with {known!r}")
    assert len(lines(file)) == 2
    assert "CANARY" not in file.read_text() + console()


def test_an_exception_is_one_line_with_its_kind(tmp_path: Path, console: Console) -> None:
    file = tmp_path / "m.log"
    start_logs(file, "INFO")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("it broke")
    (line,) = lines(file)
    assert line["error"] == "ValueError: two\\nlines"


def test_j8_a_full_disk_under_the_log_hurts_nobody(console: Console) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    start_logs(Path("/dev/full"), "INFO")
    logger.info("still here")
    assert "still here" in console()


def test_j2_a_console_whose_reader_is_gone_hurts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file = tmp_path / "m.log"
    with open(writer, "w") as broken:
        monkeypatch.setattr(sys, "stderr", broken)
        start_logs(file, "INFO")
        logger.info("still here")
        monkeypatch.undo()
        assert [line["event"] for line in lines(file)] == ["still here"]
        os.dup2(os.open(os.devnull, os.O_WRONLY), broken.fileno())


def test_j8_a_log_that_cannot_be_opened_hurts_nobody(tmp_path: Path, console: Console) -> None:
    (tmp_path / "m.log").mkdir()
    start_logs(tmp_path / "m.log", "INFO")
    logger.info("still here")
    assert "still here" in console()


def test_j8_a_log_file_that_is_removed_is_written_anew(tmp_path: Path, console: Console) -> None:
    file = tmp_path / "log" / "m.log"
    start_logs(file, "INFO")
    logger.info("one")
    file.unlink()
    file.parent.rmdir()
    logger.info("two")
    assert [line["event"] for line in lines(file)] == ["two"]


def test_the_log_stays_small(tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "ROTATION", 1000)
    file = tmp_path / "m.log"
    start_logs(file, "INFO")
    for number in range(100):
        logger.info(f"line {number}")
    kept = sorted(tmp_path.iterdir())
    assert [each.name for each in kept] == ["m.log", "m.log.1", "m.log.2", "m.log.3"]
    assert all(each.stat().st_size < 1200 for each in kept)
    assert lines(file)[-1]["event"] == "line 99"
    assert lines(kept[1])[-1]["event"] < lines(file)[0]["event"]


def test_the_directory_of_the_log_may_be_missing_on_a_read_only_disk(tmp_path: Path, console: Console) -> None:
    (tmp_path / "state").write_text("in the way")
    start_logs(tmp_path / "state" / "log" / "m.log", "INFO")
    logger.info("still here")
    assert "still here" in console()
