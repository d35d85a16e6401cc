from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest

from model_manager.agent.transfers.road import Answered, Road
from model_manager.facts.plan import Fetch
from model_manager.facts.transfer import Offer, Phase, Transfer
from model_manager.library.space import Reservation, Space
from model_manager.sources.origin import Sink, Stream
from tests.agent.stage import model, wanted


async def _told(_: object) -> None:
    """Nobody listens."""


@pytest.fixture
def road() -> Road:
    flux = model("vae/x.safetensors", url="https://a.test/x?token=secret")
    step, seen = Fetch(wanted=wanted(flux), bytes=0), list[Transfer]()
    return Road(step=step, source=flux.sources[0], number=2, report=seen.append, tell=_told, moved=lambda: None)


def test_what_is_seen_of_it_says_how_long_it_takes_where_that_is_known(road: Road) -> None:
    seen = road.seen(Phase.FETCHING, 30, 100, 7.0, 4)
    assert (seen.eta, seen.attempt, seen.host, seen.connections) == (10.0, 2, "a.test", 4)
    assert road.seen(Phase.FETCHING, 30, None, 7.0).eta is None
    assert road.seen(Phase.RESOLVING, 0, 100).eta is None


def test_the_fleet_is_told_no_secret_of_an_address(road: Road) -> None:
    offer = Offer(size=None, validator=None, promise=None, start=30, host="a.test")
    started = road.started(offer)
    assert (started.url, started.total, started.resumed_at, started.attempt) == ("https://a.test/x", 0, 30, 2)


async def _nothing() -> AsyncIterator[bytes]:
    for none in ():
        yield none


def test_space_is_claimed_once_and_before_a_burst(tmp_path: Path) -> None:
    space, steps, offered = Space(0), list[str](), Offer(size=7, validator=None, promise=None, start=0, host="h")

    def reserve() -> Reservation:
        steps.append("reserved")
        return space.reserve(str(tmp_path), 7, "x")

    stream = Stream("x", offered, _nothing(), burst=lambda sink, seconds, over: steps.append("burst"))
    answered = Answered(stream=stream, line=AsyncExitStack(), reserve=reserve)
    assert answered.burst is not None
    answered.burst(cast(Sink, None), 0.1, lambda: False)
    assert answered.claim() is answered.claim()
    assert (steps, space.reserved(str(tmp_path))) == (["reserved", "burst"], 7)
    assert Answered(stream=Stream("x", offered, _nothing()), line=AsyncExitStack(), reserve=reserve).burst is None


def test_a_beginning_is_judged_by_the_models_name(road: Road) -> None:
    assert "web page" in (road.early(b"<!doctype html>") or "")
