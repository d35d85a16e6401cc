from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.agent.holdings.hashing import Hashing
from model_manager.agent.transfers import fetching as module
from model_manager.agent.transfers.borrowing import Borrowing
from model_manager.agent.transfers.fetching import GRACE, Fetching
from model_manager.decisions import retrying
from model_manager.errors import NotFound, OriginUnavailable
from model_manager.facts.disk import Root
from model_manager.facts.event import DownloadFailed, DownloadStarted, DownloadVerified, ModelAppeared
from model_manager.facts.model import Model, Source
from model_manager.facts.plan import Fetch, Keep, Plan
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Transfer
from model_manager.sources.memory import Drop, Fail, Fine, FlakyOrigin, Flip, Hang, Step, Thing
from tests.agent.stage import Stage, model, needs, running, stage, turns, until, wanted
from tests.stories.machine import safetensors, sha256

DATA = safetensors(200_000)
A, B = model("vae/a.safetensors", DATA), model("vae/b.safetensors", safetensors(300_000, 2))
GONE = Fail(error=NotFound(where="origin.test", name="a"))
AWAY = Fail(error=OriginUnavailable(host="origin.test", name="a", why="connection refused"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries within tens of milliseconds, as the first ones of a real clock are within seconds."""
    monkeypatch.setattr(retrying, "FIRST", 0.02)


class Work:
    """The loop over an origin that follows a script."""

    def __init__(self, scene: Stage, *script: Step) -> None:
        self.scene = scene
        self.origin = FlakyOrigin({}, script)
        self.offer(A, DATA)
        self.offer(B, safetensors(300_000, 2))
        self.mounted = True
        self.fetching = Fetching(
            scene.board, scene.shelves, scene.downloading(self.origin), scene.root, self._is_mounted, self._borrow
        )

    async def _is_mounted(self, _: Root) -> bool:
        return self.mounted

    async def _borrow(self) -> None:
        """Nobody else brought anything."""

    def offer(self, model: Model, data: bytes) -> None:
        self.origin.things |= {source.url: Thing(data=data, etag='"one"') for source in model.sources}

    def want(self, *models: Model, **more: object) -> None:
        self.scene.board.requirements = needs(*models, **more)  # type: ignore[arg-type]
        self.scene.board.bells.fetching.ring()

    def is_here(self, model: Model) -> bool:
        return str(self.scene.store / str(model.path)) in self.scene.shelves.held

    def transfer(self, model: Model) -> Transfer | None:
        return self.scene.board.transfers.get(model.path)

    def phase(self, model: Model) -> Phase | None:
        transfer = self.transfer(model)
        return transfer.phase if transfer else None

    async def look(self) -> None:
        self.scene.board.bells.fetching.ring()
        await turns()


@asynccontextmanager
async def working(scene: Stage, *script: Step) -> AsyncIterator[Work]:
    scene.board.scanned = True
    work = Work(scene, *script)
    async with running(work.fetching.run):
        yield work


async def test_what_is_missing_is_fetched_and_entered(scene: Stage) -> None:
    async with working(scene) as work:
        work.want(A, B)
        await until(lambda: work.is_here(A) and work.is_here(B))
        await until(lambda: not scene.board.transfers)
        await until(lambda: all(isinstance(step, Keep) for step in scene.board.plan.steps))  # type: ignore[union-attr]
    assert scene.board.counters.verified == 2
    assert len(await scene.told(DownloadVerified)) == len(await scene.told(DownloadStarted)) == 2


async def test_where_a_model_was_fetched_is_kept(scene: Stage) -> None:
    async with working(scene) as work:
        work.want(A)
        await until(lambda: work.is_here(A))
        await until(lambda: not scene.board.transfers)
    ((file, lore),) = scene.shelves.take_came()
    assert (file, [each.url for each in lore.addresses]) == (str(scene.store / str(A.path)), [A.sources[0].url])
    assert scene.shelves.take_came() == []


async def test_a_file_is_told_of_with_its_verification_and_not_before(scene: Stage) -> None:
    async with working(scene) as work:
        with scene.shelves.listening() as queue:
            work.want(A)
            await until(lambda: work.is_here(A))
            changes = [[e.event for e in queue.get_nowait()] for _ in range(queue.qsize())]
    (entered,) = [change for change in changes if any(isinstance(event, ModelAppeared) for event in change)]
    assert any(isinstance(event, DownloadVerified) for event in entered)
    assert all(entry.verified for event in entered if isinstance(event, ModelAppeared) for entry in event.models)


async def test_nothing_is_fetched_before_the_first_look_at_the_disk_is_over(scene: Stage) -> None:
    async with working(scene) as work:
        scene.board.scanned = False
        work.want(A)
        await turns()
        assert work.origin.opened == []
        scene.board.scanned = True
        await work.look()
        await until(lambda: work.is_here(A))


LONG, OTHER = replace(A, size=None), replace(B, size=None)
"""The same without a known size: they do not count as small, which have a slot of their own."""


async def test_a_waiting_download_holds_no_slot(tmp_path) -> None:
    async with stage(tmp_path, MODEL_DOWNLOAD_CONCURRENCY="1") as scene, working(scene, GONE) as work:
        work.want(LONG, OTHER)
        await until(lambda: work.is_here(B))
        assert work.phase(A) is Phase.FAILED
        assert work.transfer(A).why  # type: ignore[union-attr]


async def test_no_more_bytes_move_at_once_than_there_are_slots(tmp_path) -> None:
    async with stage(tmp_path, MODEL_DOWNLOAD_CONCURRENCY="1") as scene, working(scene, Hang(after=1000)) as work:
        work.want(LONG, OTHER)
        await until(lambda: len(work.origin.opened) == 1)
        await work.look()
        assert len(work.origin.opened) == 1
        assert {work.phase(A), work.phase(B)} >= {Phase.QUEUED}


async def test_a_small_model_does_not_wait_behind_a_large_one(tmp_path) -> None:
    async with stage(tmp_path, MODEL_DOWNLOAD_CONCURRENCY="1") as scene, working(scene, Hang(after=1000)) as work:
        work.want(LONG)
        await until(lambda: len(work.origin.opened) == 1)
        work.want(LONG, B)
        await until(lambda: work.is_here(B))
        assert not work.is_here(A)


async def test_f7_an_assignment_that_flaps_cancels_nothing(scene: Stage) -> None:
    async with working(scene, Hang(after=100_000)) as work:
        work.want(A)
        await until(lambda: work.origin.sent == 100_000)
        for _ in range(3):
            work.want()
            await turns()
            scene.clock.seconds += GRACE - 1
            work.want(A)
            await turns()
        assert work.phase(A) in (Phase.RESOLVING, Phase.FETCHING)
    assert len(work.origin.opened) == 1


async def test_what_nobody_wants_for_a_while_is_let_go(scene: Stage) -> None:
    async with working(scene, Hang(after=100_000)) as work:
        work.want(A)
        await until(lambda: work.origin.sent == 100_000)
        work.want()
        await turns()
        scene.clock.seconds += GRACE
        await work.look()
        await until(lambda: not scene.board.transfers)
        work.want(A)
        await until(lambda: work.is_here(A))


async def test_what_is_wanted_otherwise_is_begun_anew_at_once(scene: Stage) -> None:
    elsewhere = model("vae/a.safetensors", DATA, url="https://mirror.test/a")
    async with working(scene, Hang(after=100_000)) as work:
        work.offer(elsewhere, DATA)
        work.want(A)
        await until(lambda: work.origin.sent == 100_000)
        work.want(elsewhere, generation="g2")
        await until(lambda: work.is_here(elsewhere))
    assert work.origin.opened[1][0] == "https://mirror.test/a"


async def test_i3_the_same_content_is_fetched_once_and_linked(scene: Stage) -> None:
    twin = model("checkpoints/twin.safetensors", DATA, url="https://mirror.test/twin")
    async with working(scene) as work:
        work.offer(twin, DATA)
        work.want(A, twin)
        await until(lambda: work.is_here(A) and work.is_here(twin))
    assert len(work.origin.opened) == 1
    assert (scene.store / str(twin.path)).read_bytes() == DATA


async def test_i3_the_same_address_without_a_hash_is_fetched_once(scene: Stage) -> None:
    bare = model("vae/x.safetensors", url="https://origin.test/x")
    again = model("vae/y.safetensors", url="https://origin.test/x")
    async with working(scene) as work:
        work.offer(bare, DATA)
        work.want(bare, again)
        await until(lambda: work.is_here(bare) and work.is_here(again))
    assert len(work.origin.opened) == 1


async def test_c10_nothing_is_started_while_the_store_is_away(scene: Stage) -> None:
    scene.board.lost_roots[str(scene.store)] = "it does not exist"
    async with working(scene) as work:
        work.want(A)
        await turns()
        assert work.origin.opened == []
        scene.board.lost_roots.clear()
        await work.look()
        await until(lambda: work.is_here(A))


async def test_c10_a_store_that_leaves_after_the_last_look_at_it_gets_nothing(scene: Stage) -> None:
    gone = scene.store.with_name("unmounted")
    async with working(scene) as work:
        scene.store.rename(gone)
        scene.store.mkdir()
        work.want(A)
        await until(lambda: work.phase(A) is Phase.WAITING)
        assert (work.origin.opened, os.listdir(scene.store)) == ([], [])
        scene.store.rmdir()
        gone.rename(scene.store)
        work.fetching.nudge()
        await until(lambda: work.is_here(A))


async def test_c10_a_store_that_left_a_moment_ago_gets_no_bytes(scene: Stage) -> None:
    async with working(scene) as work:
        work.mounted = False
        work.want(A)
        await until(lambda: work.phase(A) is Phase.WAITING)
        assert work.origin.opened == []
        work.mounted = True
        work.fetching.nudge()
        await until(lambda: work.is_here(A))


async def test_a_failure_is_told_with_its_reason_and_its_next_attempt(scene: Stage) -> None:
    async with working(scene, AWAY) as work:
        work.want(A)
        await until(lambda: work.is_here(A))
    (failed,) = await scene.told(DownloadFailed)
    assert (failed.attempt, failed.final, failed.error) == (1, False, "OriginUnavailable")
    assert "connection refused" in failed.reason
    assert failed.retry_at
    assert scene.board.counters.retried == 1


async def test_after_enough_attempts_it_counts_as_failed_once_and_goes_on_all_the_same(scene: Stage) -> None:
    async with working(scene, *[AWAY] * 4) as work:
        work.want(A)
        await until(lambda: work.is_here(A))
    assert [event.final for event in await scene.told(DownloadFailed)] == [False, False, True, True]
    assert scene.board.counters.failed >= 1
    assert scene.board.counters.verified == 1


async def test_a_link_that_breaks_but_moves_on_is_not_a_failure(scene: Stage) -> None:
    large = model("vae/large.safetensors", safetensors(12_000_000))
    async with working(scene, *[Drop(after=2_500_000)] * 4) as work:
        work.offer(large, safetensors(12_000_000))
        work.want(large)
        await until(lambda: work.is_here(large))
    assert {event.final for event in await scene.told(DownloadFailed)} == {False}
    assert {event.attempt for event in await scene.told(DownloadFailed)} == {1}
    assert scene.board.counters.failed == 0
    assert work.origin.sent == 12_000_000


async def test_b16_wrong_bytes_are_fetched_once_more_and_then_slowly(scene: Stage) -> None:
    async with working(scene, *[Flip(at=5000)] * 9) as work:
        work.want(A)
        await until(lambda: work.phase(A) is Phase.FAILED)
        await work.look()
    assert len(work.origin.opened) == 2
    assert [event.final for event in await scene.told(DownloadFailed)] == [False, True]


async def test_b12_a_nudge_tries_at_once_what_would_wait_for_long(scene: Stage) -> None:
    async with working(scene, GONE) as work:
        work.want(A)
        await until(lambda: work.phase(A) is Phase.FAILED)
        await work.look()
        assert len(work.origin.opened) == 0
        work.fetching.nudge()
        await until(lambda: work.is_here(A))


async def test_l5_the_next_address_is_tried_at_once_and_the_bad_one_is_last(scene: Stage) -> None:
    sources = (Source(url="https://bad.test/a"), Source(url="https://good.test/a"))
    two = model("vae/a.safetensors", DATA, sources=sources)
    async with working(scene, GONE) as work:
        work.offer(two, DATA)
        work.want(two)
        await until(lambda: work.is_here(two))
    assert [url for url, _ in work.origin.opened] == ["https://good.test/a"]
    assert scene.board.counters.failed == 0


async def test_a_stall_counts_as_failed_however_few_attempts_there_were(tmp_path) -> None:
    async with stage(tmp_path, MODEL_DOWNLOAD_RETRY_ATTEMPTS="50") as scene, working(scene, Fine(), AWAY) as work:
        await until_stalled(scene, work)
        (failed,) = await scene.told(DownloadFailed)
        assert failed.final


async def until_stalled(scene: Stage, work: Work) -> None:
    """One model arrives; the other has moved nothing for the whole allowance when its attempt fails."""
    work.want(B)
    await until(lambda: work.is_here(B))
    attempt = work.fetching._downloading.attempt

    async def slow(*args: object, **more: object) -> object:
        scene.clock.seconds += 30 * 60
        return await attempt(*args, **more)  # type: ignore[arg-type]

    work.fetching._downloading.attempt = slow  # type: ignore[method-assign,assignment]
    work.want(A, B)
    await until(lambda: work.phase(A) is Phase.FAILED)


async def test_required_models_come_before_optional_ones(tmp_path) -> None:
    async with stage(tmp_path, MODEL_DOWNLOAD_CONCURRENCY="1") as scene, working(scene) as work:
        work.want(wanted(LONG, required=False), wanted(OTHER))  # type: ignore[arg-type]
        await until(lambda: work.is_here(A) and work.is_here(B))
        assert [url for url, _ in work.origin.opened] == [B.sources[0].url, A.sources[0].url]


async def test_what_is_refused_is_in_the_plan_and_never_started(scene: Stage) -> None:
    pickle = model("checkpoints/x.ckpt")
    async with working(scene) as work:
        work.want(pickle)
        await until(lambda: scene.board.plan)
        assert not any(isinstance(step, Fetch) for step in scene.board.plan.steps)  # type: ignore[union-attr]
        await turns()
        assert scene.board.transfers == {}


async def test_nothing_of_a_past_assignment_stays_on_the_board(scene: Stage) -> None:
    async with working(scene, GONE) as work:
        work.want(A)
        await until(lambda: work.phase(A) is Phase.FAILED)
        work.want()
        await turns()
        scene.clock.seconds += GRACE
        await until(lambda: _looked(scene))
        assert scene.board.transfers == {}


async def _looked(scene: Stage) -> bool:
    scene.board.bells.fetching.ring()
    await asyncio.sleep(0.01)
    return not scene.board.transfers


async def test_a_phase_that_cannot_follow_is_our_fault_and_said_so(scene: Stage) -> None:
    work = Work(scene)
    path = ShelfPath(folder="vae", name="a.safetensors")
    work.fetching._report(Transfer(shelf=path, phase=Phase.PLACING))
    with pytest.raises(module.Broken, match="from placing to fetching"):
        work.fetching._report(Transfer(shelf=path, phase=Phase.FETCHING))


class Lending:
    """Fetching and hashing together: what others brought is read, and linked instead of downloaded."""

    def __init__(self, scene: Stage, cache: Path | None = None) -> None:
        self.scene = scene
        self.work = Work(scene)
        borrowing = Borrowing(scene.board, scene.shelves, str(cache or scene.store.parent / "none"))
        self.work.fetching._borrow = borrowing.look
        self.hashing = Hashing(scene.board, scene.shelves, scene.index, scene.readers)

    async def bring(self, model: Model) -> None:
        """Until the model is here, and the plan says so."""
        self.scene.board.scanned = True
        async with running(self.work.fetching.run, self.hashing.run):
            self.work.want(model)
            await until(lambda: self.work.is_here(model) and not self.scene.board.transfers)
            await until(lambda: self.scene.board.plan and self._kept(self.scene.board.plan))

    def _kept(self, plan: Plan) -> bool:
        return all(isinstance(step, Keep) for step in plan.steps)


async def test_a_file_of_the_same_size_is_read_before_anything_is_downloaded(scene: Stage) -> None:
    await scene.holds("loras/x.safetensors", DATA, hashed=False, evidence=None)
    lending = Lending(scene)
    await lending.bring(A)
    assert lending.work.origin.opened == []
    held = scene.shelves.held[str(scene.store / str(A.path))]
    assert (held.evidence, held.against) == ("pin", str(A.pin))


async def test_a_file_of_the_same_size_that_is_another_delays_the_download_by_its_reading(scene: Stage) -> None:
    await scene.holds("loras/x.safetensors", safetensors(200_000, 9), hashed=False, evidence=None)
    lending = Lending(scene)
    await lending.bring(A)
    assert len(lending.work.origin.opened) == 1


async def test_a_candidate_that_left_holds_nothing_up(scene: Stage) -> None:
    held = await scene.holds("loras/x.safetensors", safetensors(200_000, 9), hashed=False, evidence=None)
    Path(held.file).unlink()
    lending = Lending(scene)
    await lending.bring(A)
    assert len(lending.work.origin.opened) == 1


async def test_a_blob_of_huggingfaces_cache_is_linked_in(scene: Stage) -> None:
    cache = scene.store.parent / "hub"
    blob = cache / "models--a--b" / "blobs" / sha256(DATA)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(DATA)
    lending = Lending(scene, cache)
    await lending.bring(A)
    assert lending.work.origin.opened == []
    assert scene.shelves.lent == {}
    assert (scene.store / str(A.path)).read_bytes() == DATA


async def test_a_wrong_file_makes_way_for_a_twin_that_is_right(scene: Stage) -> None:
    await scene.holds(str(A.path), safetensors(200_000, 9), evidence=None)
    await scene.holds("loras/x.safetensors", DATA)
    lending = Lending(scene)
    await lending.bring(A)
    assert lending.work.origin.opened == []
    assert (scene.store / str(A.path)).read_bytes() == DATA


async def test_a_twin_that_cannot_be_linked_is_passed_over(scene: Stage) -> None:
    twin = await scene.holds("loras/x.safetensors", DATA)
    Path(twin.file).unlink()
    lending = Lending(scene)
    await lending.bring(A)
    assert len(lending.work.origin.opened) == 1
