from __future__ import annotations

from datetime import UTC, datetime

import pytest

from model_manager.cli.model.lines import lines
from model_manager.cli.model.tables import ago, print_directories, print_models, print_whys, short_hash
from model_manager.facts.directory import Directory
from model_manager.index.reading import Shop
from tests.cli.model.conftest import Library

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("", "never"),
        ("2026-01-02T11:59:00Z", "1m00s ago"),
        ("2026-01-02T12:00:05Z", "0s ago"),
        ("2025-12-28T12:00:00Z", "5d ago"),
    ],
)
def test_a_moment_is_told_as_how_long_ago_it_was(moment: str, said: str) -> None:
    assert ago(moment, NOW) == said


def test_eighty_columns_are_enough(
    library: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with Shop.open(library.state / "index.sqlite") as shop:
        print_models(lines(shop, shop.listing()))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "loras/style_5.safetensors" in said
    assert "base model" not in said


def test_a_wide_terminal_says_what_a_model_is(
    library: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    with Shop.open(library.state / "index.sqlite") as shop:
        print_models(lines(shop, shop.find("style_5")))
        (known,) = shop.find("style_5")
    said = capsys.readouterr().out
    assert "SDXL 1.0" in said
    assert known.digests
    assert short_hash(known) == known.digests.named("autov2")


def test_directories_say_why_they_are_away(capsys: pytest.CaptureFixture[str]) -> None:
    away = Directory(path="/nas/[red]loras", folder="loras", state="away", why="it is not\x1b[0m mounted", files=1234)
    print_directories([away])
    print_whys([away, Directory(path="/here", state="here")])
    said = capsys.readouterr().out
    assert "/nas/[red]loras" in said
    assert "1,234" in said
    assert r"! /nas/[red]loras is away: it is not\x1b[0m mounted" in said
