from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from model_manager.agent.intake import BATCH, SLACK, Intake
from model_manager.agent.threads import Behind
from model_manager.errors import Corrupt
from model_manager.facts.model import Model, Size
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Offer
from model_manager.library.partial import Partial
from model_manager.library.space import Space
from tests.stories.machine import safetensors

SHELF = ShelfPath(folder="vae", name="x.safetensors")


class Desk:
    """An intake over a real partial in a real directory."""

    def __init__(self, directory: Path, size: int | None, known: Size | None) -> None:
        self.partial = Partial.open(str(directory / ".model_manager_partial"), SHELF)
        self.offer = Offer(size=size, validator='"v"', promise=None, start=0, host="h")
        self.partial.begin("https://h/x", self.offer)
        self.model = Model(name="x", path=SHELF, sources=(), size=known)
        self.reservation = Space(0).reserve(str(directory), 0, "x")
        self.behind = Behind()
        self.intake = Intake(self.partial, self.model, self.offer, self.reservation, self.behind)


@pytest.fixture
async def desk(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    made = Desk(tmp_path, *getattr(request, "param", (10 * BATCH, None)))
    async with made.behind:
        yield made
    made.partial.close()


async def test_everything_that_came_is_written_once_settled(desk: Desk) -> None:
    data = safetensors(BATCH + 1000, 1)
    for at in range(0, len(data), 300_000):
        await desk.intake.take(data[at : at + 300_000])
    assert desk.intake.have == len(data)
    await desk.intake.settle()
    assert desk.partial.offset == len(data)
    assert Path(desk.partial.path).read_bytes() == data


async def test_b9_a_web_page_is_seen_by_its_beginning_and_not_written(desk: Desk) -> None:
    await desk.intake.take(b"<!DOCTYPE html><title>Log in</title>")
    with pytest.raises(Corrupt, match="web page"):
        await desk.intake.settle()
    assert desk.partial.offset == 0


async def test_after_a_break_what_can_be_judged_is_kept_and_a_shorter_beginning_is_not(desk: Desk) -> None:
    await desk.intake.take(safetensors(500))
    await desk.intake.salvage()
    assert desk.partial.offset == 0
    await desk.intake.take(safetensors(5000))
    await desk.intake.salvage()
    assert desk.partial.offset == 5500


@pytest.mark.parametrize(
    "desk", [(None, Size(bytes=BATCH, exact=True)), (None, Size(bytes=BATCH, exact=False))], indirect=True
)
async def test_b6_an_answer_without_a_length_ends_where_the_catalog_says(desk: Desk) -> None:
    room = 0 if desk.model.size and desk.model.size.exact else BATCH // 4 + SLACK
    await desk.intake.take(safetensors(BATCH))
    with pytest.raises(Corrupt, match="does not end"):
        await desk.intake.take(bytes(room + BATCH + 1))


async def test_what_the_disk_refused_is_raised_with_the_next_bytes(desk: Desk) -> None:
    desk.partial.close()
    await desk.intake.take(safetensors(BATCH))
    with pytest.raises(Exception, match="closed"):
        await desk.intake.settle()
