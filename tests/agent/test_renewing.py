from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from model_manager.agent import renewing as module
from model_manager.agent.renewing import renewing
from model_manager.errors import BusUnavailable, IndexDamaged
from model_manager.settings import Settings
from tests.agent.stage import settings


class Lives:
    """Each ends as the next of `ends` says: with an exception, or None."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends = list(ends)
        self.had: list[Settings] = []

    async def live(self, had: Settings) -> None:
        self.had.append(had)
        if end := self.ends.pop(0):
            raise end


def damaged() -> IndexDamaged:
    return IndexDamaged(path="/state/index.sqlite", why="malformed")


async def test_c11_a_damaged_index_ends_one_life_and_the_next_has_the_settings_of_then(
    tmp_path: Path, logged: list[str]
) -> None:
    first, then = settings(tmp_path), settings(tmp_path)
    lives = Lives(ExceptionGroup("loops", [damaged()]), None)
    await renewing(lives.live, first, lambda: then, asyncio.Event())
    assert lives.had == [first, then]
    assert any("index" in line and "malformed" in line for line in logged)


async def test_damage_that_comes_again_at_once_is_no_reason_to_go_round_for_ever(tmp_path: Path) -> None:
    lives = Lives(damaged(), damaged(), None)
    with pytest.raises(BaseExceptionGroup) as caught:
        await renewing(lives.live, settings(tmp_path), lambda: settings(tmp_path), asyncio.Event())
    assert caught.group_contains(IndexDamaged)
    assert len(lives.had) == 2


async def test_damage_that_comes_again_much_later_is_mended_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_LEAST", 0.0)
    lives = Lives(damaged(), damaged(), None)
    await renewing(lives.live, settings(tmp_path), lambda: settings(tmp_path), asyncio.Event())
    assert len(lives.had) == 3


async def test_who_is_asked_to_stop_stops(tmp_path: Path) -> None:
    asked = asyncio.Event()
    asked.set()
    with pytest.raises(BaseExceptionGroup):
        await renewing(Lives(damaged()).live, settings(tmp_path), lambda: settings(tmp_path), asked)


async def test_other_ends_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(BusUnavailable):
        await renewing(
            Lives(BusUnavailable(address="r", why="w")).live,
            settings(tmp_path),
            lambda: settings(tmp_path),
            asyncio.Event(),
        )
    mixed = ExceptionGroup("loops", [damaged(), ValueError("ours")])
    with pytest.raises(BaseExceptionGroup) as caught:
        await renewing(Lives(mixed).live, settings(tmp_path), lambda: settings(tmp_path), asyncio.Event())
    assert caught.group_contains(ValueError)
