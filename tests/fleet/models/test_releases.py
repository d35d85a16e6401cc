from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.errors import StoreUnavailable
from model_manager.facts.release import Release
from model_manager.fleet.models.releases import ABSENT, FRESH, SILENT, Check, Releases
from tests.fleet.made import Now


def release(version: int, base: str = "SDXL", **more: str) -> Release:
    plain = {"name": f"v{version}", "published": "2025-01-02T03:04:05Z", "file": f"x_v{version}.safetensors"}
    return Release(
        version=str(version), base=base, size=5, hashes=(f"{version:064x}",), url=f"https://civitai.com/api/download/models/{version}",
        **(plain | more),
    )  # fmt: skip


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def kept(tmp_path: Path, now: Now) -> Releases:
    return Releases(tmp_path / "releases.sqlite", now)


async def test_what_was_told_is_kept_for_every_aggregator_of_the_directory(kept: Releases, now: Now) -> None:
    await kept.learn({"7": [release(71), release(70)]}, {"8"})
    other = Releases(kept._base.path, now)
    await other.refresh()
    said = other.of("7")
    assert said is not None
    assert said.releases == (release(71), release(70))
    absent = other.of("8")
    assert absent is not None
    assert absent.releases is None
    assert other.of("9") is None
    version = other.version
    await kept.learn({"8": []}, ())
    await other.refresh()
    again = other.of("8")
    assert again is not None
    assert (again.releases, other.version > version) == ((), True)
    await kept.close()
    await other.close()


async def test_an_answer_stands_for_a_while_and_a_missing_one_too(kept: Releases, now: Now) -> None:
    await kept.learn({"7": [release(70)]}, {"8"})
    assert kept.due(["7", "8", "10", "9"], again=False) == ["9", "10"]
    assert kept.due(["7", "8"], again=True) == ["7", "8"]
    now.seconds += FRESH + 1
    assert kept.due(["7", "8"], again=False) == ["7"]
    now.seconds += ABSENT - FRESH
    assert kept.due(["7", "8"], again=False) == ["7", "8"]
    now.seconds = 0  # a clock that was set back
    assert kept.due(["7"], again=False) == ["7"]
    await kept.close()


async def test_one_check_goes_on_at_a_time_and_one_whose_aggregator_died_is_broken_off(
    kept: Releases, now: Now
) -> None:
    first, second = (Check(id=each, who=each, state="running", begun=now(), beat=now()) for each in "ab")
    assert (await kept.begin(first)).id == "a"
    assert (await kept.begin(second)).id == "a"
    now.seconds += SILENT + 1
    assert (await kept.check()).state == "broken off"
    assert (await kept.begin(second)).id == "b"
    assert not await kept.note(first), "who was taken for dead goes on no more"
    assert (await kept.check()).id == "b"
    await kept.close()


async def test_who_wants_it_to_end_is_heard_by_who_does_it(kept: Releases, now: Now) -> None:
    check = Check(id="a", who="a", state="running", beat=now())
    assert (await kept.stop()).state == "idle"
    await kept.begin(check)
    assert await kept.note(replace(check, asked=1))
    assert (await kept.stop()).state == "stopping"
    assert not await kept.note(replace(check, asked=2))
    told = await kept.check()
    assert (told.state, told.asked) == ("stopping", 2)
    await kept.note(replace(check, state="stopped"))
    assert (await kept.check()).state == "stopped"
    await kept.close()


async def test_a_file_that_is_no_database_is_a_failure(tmp_path: Path, now: Now) -> None:
    (tmp_path / "releases.sqlite").write_bytes(b"garbage" * 1000)
    broken = Releases(tmp_path / "releases.sqlite", now)
    with pytest.raises(StoreUnavailable):
        await broken.check()
    await broken.close()
