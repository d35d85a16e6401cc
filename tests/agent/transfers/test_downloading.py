from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_manager.agent.transfers.downloading import Arrived
from model_manager.errors import BadUrl, Corrupt, NoSpace, OriginUnavailable, RangeBeyond
from model_manager.facts.disk import Held
from model_manager.facts.event import DownloadStarted
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Size, Source
from model_manager.facts.plan import Fetch
from model_manager.facts.transfer import Phase, Transfer
from model_manager.library.incoming.buffers import BLOCK
from model_manager.library.markers import PARTIAL, QUARANTINE
from model_manager.sources.memory import Drop, Fine, FlakyOrigin, Flip, Hang, MemoryOrigin, Step, Swap, Thing
from tests.agent.stage import AT, HeldClock, Stage, model, until, wanted
from tests.stories.machine import safetensors, sha256

PLACE = "checkpoints/flux.safetensors"
SMALL = safetensors(200_000)
LARGE = safetensors(5_000_000)
ETAG = '"one"'
LOGIN = b"<!DOCTYPE html><title>Sign in</title>"


def url_of(model: Model) -> str:
    return model.sources[0].url


class Attempt:
    """One road of one model, and what was reported on it."""

    def __init__(self, scene: Stage, model: Model, thing: Thing, *script: Step, floor: int = 0) -> None:
        self.scene = scene
        self.model = model
        self.origin: MemoryOrigin = FlakyOrigin({url_of(model): thing}, script)
        self.downloading = scene.downloading(self.origin, floor=floor)
        self.reports: list[Transfer] = []
        self.told: list[DownloadStarted] = []

    async def __call__(self, number: int = 1, replaces: Held | None = None) -> Arrived:
        step = Fetch(wanted=wanted(self.model), bytes=0, replaces=replaces)
        return await self.downloading.attempt(step, self.model.sources[0], number, self.reports.append, self._tell)

    async def _tell(self, event: DownloadStarted) -> None:
        self.told.append(event)

    @property
    def final(self) -> Path:
        return self.scene.store / str(self.model.path)

    @property
    def unfinished(self) -> list[Path]:
        return list((self.scene.store / PARTIAL).glob("*"))


def pinned(scene: Stage, data: bytes, *script: Step, thing: dict[str, Any] | None = None) -> Attempt:
    return Attempt(scene, model(PLACE, data), Thing(data=data, etag=ETAG, **(thing or {})), *script)


async def test_a_model_arrives_judged_by_its_pin_and_leaves_nothing_else(scene: Stage) -> None:
    attempt = pinned(scene, SMALL)
    arrived = await attempt()
    assert attempt.final.read_bytes() == SMALL
    assert attempt.unfinished == []
    here = scene.held(PLACE)
    assert here.digests.same_bytes(arrived.held.digests)
    assert replace(arrived.held, against="", digests=here.digests) == here
    assert (arrived.held.evidence, arrived.held.verified_at) == ("pin", AT)
    assert (arrived.verified.sha256, arrived.verified.fetched) == (sha256(SMALL), len(SMALL))


async def test_its_road_is_reported_in_order(scene: Stage) -> None:
    attempt = pinned(scene, LARGE)
    await attempt()
    phases = list(dict.fromkeys(report.phase for report in attempt.reports))
    assert phases == [Phase.RESOLVING, Phase.FETCHING, Phase.VERIFYING, Phase.PLACING]
    bytes_seen = [report.bytes for report in attempt.reports if report.phase is Phase.FETCHING]
    assert bytes_seen == sorted(bytes_seen)
    assert bytes_seen[-1] == len(LARGE)


async def test_the_fleet_is_told_where_it_comes_from_without_the_query(scene: Stage) -> None:
    secret = model(PLACE, SMALL, url="https://origin.test/flux?token=secret")
    attempt = Attempt(scene, secret, Thing(data=SMALL))
    await attempt()
    assert attempt.told[0].url == "https://origin.test/flux"
    assert attempt.told[0].total == len(SMALL)


async def test_b9_a_web_page_is_refused_after_its_first_bytes(scene: Stage) -> None:
    attempt = Attempt(scene, model(PLACE), Thing(data=LOGIN + bytes(20_000_000)))
    with pytest.raises(Corrupt, match="web page"):
        await attempt()
    assert attempt.origin.sent <= 2 * BLOCK
    assert attempt.unfinished == [] or all(
        file.stat().st_size == 0 for file in attempt.unfinished if file.suffix == ".part"
    )
    assert not attempt.final.exists()


async def test_b16_a_flipped_byte_never_gets_a_name_and_the_next_attempt_begins_anew(scene: Stage) -> None:
    attempt = pinned(scene, SMALL, Flip(at=150_000))
    with pytest.raises(Corrupt, match="its hash is sha256:"):
        await attempt()
    assert not attempt.final.exists()
    assert attempt.unfinished == []
    await attempt(2)
    assert attempt.final.read_bytes() == SMALL


async def test_b16_an_object_that_was_wrong_twice_is_not_read_a_third_time(scene: Stage) -> None:
    attempt = Attempt(scene, model(PLACE, SMALL), Thing(data=safetensors(200_000, 9), etag=ETAG))
    for number in (1, 2):
        with pytest.raises(Corrupt, match="its hash is"):
            await attempt(number)
    before = attempt.origin.sent
    with pytest.raises(Corrupt, match="still the object that was wrong twice"):
        await attempt(3)
    assert attempt.origin.sent == before


async def test_another_object_at_the_address_that_was_wrong_is_read(scene: Stage) -> None:
    attempt = Attempt(scene, model(PLACE, SMALL), Thing(data=safetensors(200_000, 9), etag=ETAG))
    for number in (1, 2):
        with pytest.raises(Corrupt):
            await attempt(number)
    attempt.origin.things[url_of(attempt.model)] = Thing(data=SMALL, etag='"two"')
    await attempt(3)
    assert attempt.final.read_bytes() == SMALL


async def test_a_length_that_contradicts_the_catalog_is_refused_before_the_first_byte(scene: Stage) -> None:
    sized = model(PLACE, size=Size(bytes=len(SMALL) + 1, exact=True))
    attempt = Attempt(scene, sized, Thing(data=SMALL))
    with pytest.raises(Corrupt, match="the catalog says"):
        await attempt()
    assert attempt.origin.sent == 0


async def test_a_pin_outranks_the_catalogs_length(scene: Stage) -> None:
    attempt = Attempt(scene, model(PLACE, SMALL, size=Size(bytes=7, exact=True)), Thing(data=SMALL))
    assert (await attempt()).held.evidence == "pin"


async def test_an_origin_that_promises_another_hash_is_refused_before_the_first_byte(scene: Stage) -> None:
    attempt = pinned(scene, SMALL, thing={"promise": Pin.parse("sha256:" + "0" * 64)})
    with pytest.raises(Corrupt, match="the catalog says"):
        await attempt()
    assert attempt.origin.sent == 0


async def test_b6_an_answer_that_does_not_end_is_broken_off(scene: Stage) -> None:
    sized = model(PLACE, size=Size(bytes=1_000_000, exact=True))
    attempt = Attempt(scene, sized, Thing(data=safetensors(30_000_000), sized=False))
    with pytest.raises(Corrupt, match="does not end"):
        await attempt()
    assert attempt.origin.sent < 4_000_000


async def test_b7_a_file_whose_length_nobody_tells_is_only_believed_where_it_tells_it_itself(scene: Stage) -> None:
    attempt = Attempt(scene, model(PLACE), Thing(data=SMALL, sized=False))
    assert (await attempt()).held.evidence == "length"
    blind = Attempt(scene, model("unet/x.gguf"), Thing(data=b"GGUF" + bytes(5000), sized=False))
    with pytest.raises(Corrupt, match="nobody says how long it is"):
        await blind()


async def test_a1_a_broken_connection_keeps_what_came_and_the_next_attempt_goes_on_there(scene: Stage) -> None:
    attempt = pinned(scene, LARGE, Drop(after=3_000_000))
    with pytest.raises(OriginUnavailable):
        await attempt()
    arrived = await attempt(2)
    assert attempt.origin.opened[1][1] == attempt.told[1].resumed_at == 3_000_000
    assert attempt.origin.sent == len(LARGE)
    assert arrived.verified.fetched == len(LARGE) - 3_000_000
    assert attempt.final.read_bytes() == LARGE


class Mirrored:
    """A model at two addresses, and the attempts from either."""

    def __init__(self, scene: Stage, first: Thing, second: Thing, *script: Step, pinned: bool = True) -> None:
        urls = ("https://a.test/flux", "https://b.test/flux")
        self.sources = tuple(Source(url=url) for url in urls)
        self.model = model(PLACE, LARGE if pinned else None, sources=self.sources)
        self.origin = FlakyOrigin(dict(zip(urls, (first, second), strict=True)), script)
        self.downloading = scene.downloading(self.origin)
        self.final = scene.store / str(self.model.path)

    async def bring(self, which: int) -> Arrived:
        step = Fetch(wanted=wanted(self.model), bytes=0)
        return await self.downloading.attempt(step, self.sources[which], 1, lambda _: None, self._tell)

    async def _tell(self, _: DownloadStarted) -> None:
        """Nobody listens."""


HALF = Drop(after=2_500_000)


async def test_a_mirror_goes_on_where_another_address_broke_off(scene: Stage) -> None:
    mirrored = Mirrored(scene, Thing(data=LARGE, etag=ETAG), Thing(data=LARGE, etag='"two"'), HALF)
    with pytest.raises(OriginUnavailable):
        await mirrored.bring(0)
    await mirrored.bring(1)
    assert mirrored.final.read_bytes() == LARGE
    assert mirrored.origin.opened[-1] == ("https://b.test/flux", 2_500_000)
    assert mirrored.origin.sent == len(LARGE)


async def test_without_a_full_digest_a_mirror_begins_anew(scene: Stage) -> None:
    same = Thing(data=LARGE, etag=ETAG)
    mirrored = Mirrored(scene, same, same, HALF, pinned=False)
    with pytest.raises(OriginUnavailable):
        await mirrored.bring(0)
    await mirrored.bring(1)
    assert mirrored.origin.opened[-1] == ("https://b.test/flux", 0)
    assert mirrored.final.read_bytes() == LARGE


async def test_l5_after_a_mixture_that_was_wrong_each_address_brings_the_whole(scene: Stage) -> None:
    other = Thing(data=safetensors(5_000_000, 9), etag='"two"')
    mirrored = Mirrored(scene, Thing(data=LARGE, etag=ETAG), other, HALF, Fine(), HALF)
    with pytest.raises(OriginUnavailable):
        await mirrored.bring(0)
    with pytest.raises(Corrupt, match="its hash is"):
        await mirrored.bring(1)
    assert not mirrored.final.exists()
    with pytest.raises(OriginUnavailable):
        await mirrored.bring(1)
    await mirrored.bring(0)
    assert mirrored.origin.opened[-1] == ("https://a.test/flux", 0)
    assert mirrored.final.read_bytes() == LARGE


async def test_i4_a_cancelled_attempt_keeps_what_it_has(scene: Stage) -> None:
    attempt = pinned(scene, LARGE, Hang(after=4_500_000))
    task = asyncio.get_running_loop().create_task(attempt())
    await until(lambda: attempt.origin.sent == 4_500_000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await attempt(2)
    assert 4_000_000 <= attempt.origin.opened[1][1] <= 4_500_000
    assert attempt.final.read_bytes() == LARGE


async def test_b4_an_object_that_changed_meanwhile_is_read_from_its_start(scene: Stage) -> None:
    other = safetensors(5_000_000, 5)
    attempt = Attempt(
        scene,
        model(PLACE),
        Thing(data=LARGE, etag=ETAG),
        Drop(after=3_000_000),
        Swap(thing=Thing(data=other, etag='"two"')),
    )
    with pytest.raises(OriginUnavailable):
        await attempt()
    await attempt(2)
    assert attempt.told[1].resumed_at == 0
    assert attempt.final.read_bytes() == other


async def test_b15_when_every_byte_is_here_the_file_is_judged_without_another(scene: Stage) -> None:
    attempt = pinned(scene, LARGE, Drop(after=len(LARGE)), thing={"sized": False})
    with pytest.raises(OriginUnavailable):
        await attempt()
    await attempt(2)
    assert attempt.origin.sent == len(LARGE)
    assert attempt.final.read_bytes() == LARGE


async def test_b15_more_bytes_than_the_object_has_are_thrown_away(scene: Stage) -> None:
    shorter = Thing(data=LARGE[:3_000_000], etag=ETAG)
    attempt = Attempt(
        scene, model(PLACE), Thing(data=LARGE, etag=ETAG, sized=False), Drop(after=4_000_000), Swap(thing=shorter)
    )
    with pytest.raises(OriginUnavailable):
        await attempt()
    with pytest.raises(RangeBeyond):
        await attempt(2)
    attempt.origin.things[url_of(attempt.model)] = Thing(data=LARGE, etag='"three"')
    await attempt(3)
    assert attempt.final.read_bytes() == LARGE


async def test_d3_a_file_that_was_complete_at_the_end_needs_no_network(scene: Stage, monkeypatch) -> None:
    attempt = pinned(scene, SMALL)
    monkeypatch.setattr("model_manager.agent.transfers.downloading.place", _no_place)
    with pytest.raises(OriginUnavailable, match="interrupted"):
        await attempt()
    monkeypatch.undo()
    again = pinned(scene, SMALL)
    await again()
    assert again.origin.opened == []
    assert again.final.read_bytes() == SMALL


def _no_place(*_: object, **__: object) -> None:
    raise OriginUnavailable(host="test", name="flux", why="interrupted before the rename")


class Trickle(MemoryOrigin):
    """Every piece takes ten seconds of the held clock."""

    def __init__(self, things: dict[str, Thing], clock: HeldClock) -> None:
        super().__init__(things)
        self._clock = clock

    async def _pieces(self, data: bytes) -> AsyncIterator[bytes]:
        async for piece in super()._pieces(data):
            self._clock.seconds += 10
            await asyncio.sleep(0.02)
            yield piece


async def test_a5_a_trickle_is_given_up_and_keeps_what_came(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_manager.agent.transfers.drawing.LOOK", 0.02)
    attempt = pinned(scene, LARGE)
    slow = Trickle(attempt.origin.things, scene.clock)
    attempt.origin, attempt.downloading = slow, scene.downloading(slow)
    with pytest.raises(OriginUnavailable, match="MODEL_MANAGER_MIN_SPEED"):
        await attempt()
    assert 0 < slow.sent < len(LARGE) / 2
    attempt.downloading = scene.downloading(quick := MemoryOrigin(slow.things))
    await attempt(2)
    assert attempt.told[-1].resumed_at > 0
    assert quick.sent == len(LARGE) - attempt.told[-1].resumed_at


async def test_a5_who_allows_any_speed_waits(scene: Stage) -> None:
    scene.configure(MODEL_MANAGER_MIN_SPEED="0")
    attempt = pinned(scene, SMALL)
    attempt.downloading = scene.downloading(Trickle(attempt.origin.things, scene.clock))
    assert (await attempt()).held.evidence == "pin"


async def test_c2_the_floor_of_the_disk_is_kept(scene: Stage) -> None:
    attempt = Attempt(scene, model(PLACE, SMALL), Thing(data=SMALL), floor=10**18)
    with pytest.raises(NoSpace):
        await attempt()
    assert attempt.origin.sent <= 64 * 1024
    assert not attempt.final.exists()


async def test_b8_a_length_beyond_the_disk_is_refused_before_the_first_byte(scene: Stage) -> None:
    attempt = Attempt(scene, model(PLACE, size=Size(bytes=20 * 10**12, exact=True)), Thing(data=SMALL, sized=False))
    with pytest.raises(NoSpace):
        await attempt()
    assert attempt.origin.sent <= 64 * 1024


async def test_an_address_that_no_origin_serves_is_refused_by_name(scene: Stage) -> None:
    attempt = pinned(scene, SMALL)
    attempt.downloading = scene.downloading()
    with pytest.raises(BadUrl, match="no origin of ours"):
        await attempt()


async def test_a_file_that_was_judged_wrong_is_set_aside_and_not_lost(scene: Stage) -> None:
    scene.put(PLACE, b"something else")
    wrong = scene.held(PLACE, evidence=None)
    attempt = pinned(scene, SMALL)
    await attempt(replaces=wrong)
    assert attempt.final.read_bytes() == SMALL
    kept = [file for file in (scene.store / QUARANTINE).rglob("*") if file.is_file()]
    assert [file.read_bytes() for file in kept] == [b"something else"]


async def test_unpinned_models_are_refused_where_the_owner_says_so(scene: Stage) -> None:
    scene.configure(MODEL_MANAGER_UNPINNED="refuse")
    attempt = Attempt(scene, model(PLACE), Thing(data=SMALL))
    with pytest.raises(Corrupt, match="MODEL_MANAGER_UNPINNED"):
        await attempt()
    assert not attempt.final.exists()


async def test_f8_a_short_hash_is_computed_and_judged(scene: Stage) -> None:
    data = SMALL
    right = model(PLACE, pin=Pin.parse(hashlib.md5(data).hexdigest()))
    assert (await Attempt(scene, right, Thing(data=data))()).held.evidence == "pin"
    wrong = model("checkpoints/other.safetensors", pin=Pin.parse("0" * 32))
    with pytest.raises(Corrupt, match="promised was md5"):
        await Attempt(scene, wrong, Thing(data=data))()
