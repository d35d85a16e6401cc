from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from blake3 import blake3

from model_manager.facts.identity import Algorithm
from model_manager.facts.shelf import ShelfPath
from model_manager.library.contents.hashing import BOTH, Hasher
from model_manager.library.disk import Disk
from model_manager.library.incoming import partial as partial_module
from model_manager.library.incoming.buffers import BLOCK, HASHING, Buffers, Turns
from model_manager.library.incoming.extents import Extents
from model_manager.library.incoming.lane import Lane, fill
from model_manager.library.incoming.mill import _beside
from model_manager.library.incoming.partial import Partial
from model_manager.library.incoming.staging import part_name
from model_manager.library.volume import Volume
from tests.library.downloader import MIB, pattern
from tests.library.feeding import append, crash
from tests.library.shelves import FLUX, URL, offer, own_root, staging

CONTENT = random.Random(1).randbytes(6 * BLOCK + 4321)
PIECES = [(start, min(len(CONTENT), start + 700_001)) for start in range(0, len(CONTENT), 700_001)]


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return staging(own_root(tmp_path / "models"))


def weave(partial: Partial, pieces: Sequence[tuple[int, int]], lanes: int = 4, step: int = 200_000) -> None:
    """The pieces by so many lanes at once, from one thread as a pump does it."""
    waiting = list(pieces)
    running: list[Lane] = []
    while waiting or running:
        while waiting and len(running) < lanes:
            running.append(partial.lane(*waiting.pop(0)))
        if not any(_moved(lane, running, step) for lane in list(running)):
            free = threading.Event()
            for lane in running:
                lane.when_free(free.set)
            assert free.wait(60)


def _moved(lane: Lane, running: list[Lane], step: int) -> bool:
    room = lane.room()
    if room is None:
        return False
    if room:
        size = min(len(room), step)
        room[:size] = CONTENT[lane.at : lane.at + size]
        lane.took(size)
    else:
        lane.close()
        running.remove(lane)
    return True


@pytest.mark.parametrize("kind", ["ext4", "tmpfs", "nfs4"])
@pytest.mark.parametrize("order", ["forward", "backward", "shuffled"])
@pytest.mark.parametrize("blocks", [1, 48])
def test_bytes_in_any_order_have_their_digests(
    directory: str, monkeypatch: pytest.MonkeyPatch, kind: str, order: str, blocks: int
) -> None:
    real = partial_module.volume_of
    facts = {"ext4": real, "tmpfs": lambda fd: Volume(kind="", holes=True), "nfs4": lambda fd: Volume(kind="nfs4")}
    monkeypatch.setattr(partial_module, "volume_of", facts[kind])
    pieces = {"forward": PIECES, "backward": PIECES[::-1], "shuffled": random.Random(2).sample(PIECES, len(PIECES))}
    every = frozenset[Algorithm]({"sha256", "blake3", "md5"})
    with Partial.open(directory, FLUX, algorithms=every, buffers=Buffers(blocks)) as partial:
        partial.begin(URL, offer(size=len(CONTENT)))
        weave(partial, pieces[order], lanes=min(blocks, 4))
        got = partial.finish().digests
        assert (got.sha256, got.blake3, got.md5) == (
            hashlib.sha256(CONTENT).hexdigest(),
            blake3(CONTENT).hexdigest(),
            hashlib.md5(CONTENT).hexdigest(),
        )
        assert Path(partial.path).read_bytes() == CONTENT


def test_many_lanes_of_many_files_share_a_few_blocks_without_standing_still(directory: str) -> None:
    buffers, right = Buffers(4), hashlib.sha256(CONTENT).hexdigest()
    digests: list[str | None] = []

    def download(number: int) -> None:
        shelf = ShelfPath(folder="vae", name=f"{number}.safetensors")
        with Partial.open(directory, shelf, buffers=buffers, sync_every=BLOCK) as partial:
            partial.begin(URL, offer(size=len(CONTENT)))
            order = random.Random(number).sample(PIECES, len(PIECES))
            lanes = [threading.Thread(target=bring, args=(partial, order[n::4])) for n in range(4)]
            for lane in lanes:
                lane.start()
            for lane in lanes:
                lane.join()
            digests.append(partial.finish().digests.sha256)

    def bring(partial: Partial, pieces: Sequence[tuple[int, int]]) -> None:
        for start, stop in pieces:
            lane = partial.lane(start, stop)
            fill(lane, CONTENT[start:stop])
            lane.close()

    files = [threading.Thread(target=download, args=(number,), daemon=True) for number in range(3)]
    for file in files:
        file.start()
    for file in files:
        file.join(100)
    assert digests == [right] * 3
    assert buffers.free == 4


class Watched(Disk):
    """Insists at every journal that each byte it names was written before the sync before it."""

    def __init__(self, directory: str) -> None:
        self.journals = 0
        self._directory = directory
        self._written, self._synced = Extents(), Extents()
        self._lock = threading.Lock()

    def write(self, fd: int, pieces: Sequence[memoryview], offset: int) -> int:
        taken = super().write(fd, pieces, offset)
        with self._lock:
            self._written.add(offset, offset + taken)
        return taken

    def sync_data(self, fd: int) -> None:
        with self._lock:
            before = self._written.spans
        super().sync_data(fd)
        self._synced = Extents(before)

    def replace(self, old: str, new: str, folder: int) -> None:
        if new.endswith(".part.json"):
            told = json.loads(Path(self._directory, old).read_text())
            self.journals += 1
            for start, stop in told["extents"]:
                assert list(self._synced.gaps(start, stop)) == [], told
        super().replace(old, new, folder)


def test_c8_the_journal_never_names_a_byte_that_was_not_synced_before(directory: str) -> None:
    os.mkdir(directory)
    disk = Watched(directory)
    with Partial.open(directory, FLUX, disk=disk, sync_every=300_000) as partial:
        partial.begin(URL, offer(size=len(CONTENT)))
        weave(partial, random.Random(3).sample(PIECES, len(PIECES)), lanes=5)
        partial.settle()
        assert partial.here == len(CONTENT)
    assert disk.journals > 2


def test_d1_after_a_crash_only_bytes_that_were_written_down_are_here_and_they_are_right(directory: str) -> None:
    for number in range(4):
        partial = Partial.open(directory, FLUX, sync_every=BLOCK)
        partial.begin(URL, offer(size=len(CONTENT), start=partial.resumable(URL)[0]))
        weave(partial, random.Random(number).sample(PIECES, 4))
        if number == 0:
            partial.settle()
        crash(partial)
        with Partial.open(directory, FLUX) as after:
            there = Path(after.path).read_bytes()
            for start, stop in _present(after):
                assert there[start:stop] == CONTENT[start:stop]


def _present(partial: Partial) -> list[tuple[int, int]]:
    edges = [0, *(at for span in partial.missing() for at in span), len(CONTENT)]
    return list(zip(edges[::2], edges[1::2], strict=True))


@pytest.mark.parametrize("killed_after", [0.0, 0.03, 0.1, 0.2])
def test_d1_a_killed_download_over_several_lanes_goes_on_and_ends_right(directory: str, killed_after: float) -> None:
    command = [sys.executable, "-m", "tests.library.downloader", directory, "24", str(2 * MIB), "lanes"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().startswith("begun")
    threading.Event().wait(killed_after)
    child.kill()
    child.communicate()
    again = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    assert "finished" in again.stdout
    content = b"".join(map(pattern, range(24)))
    assert Path(directory, part_name(FLUX)).read_bytes() == content
    assert hashlib.sha256(content).hexdigest() in again.stdout


def killed(command: Sequence[str], after: float) -> None:
    """Begun, and dead after so many seconds."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("begun")
        threading.Event().wait(after)
        child.kill()


@pytest.mark.timeout(180)
def test_d1_thirty_kills_of_one_download_each_goes_on_with_its_bytes_and_its_hash(directory: str) -> None:
    """As many of the thirty as fit into twenty seconds, and five in any case; over several lanes."""
    size, seed, began = 96, time.time_ns(), time.monotonic()
    rng, hashed, reached, kills = random.Random(seed), 0, 0, 0
    command = [sys.executable, "-m", "tests.library.downloader", directory, str(size), str(MIB), "lanes"]
    while kills < 30 and (kills < 5 or time.monotonic() - began < 20):
        killed(command, rng.uniform(0, 0.02))
        kills += 1
        with Partial.open(directory, FLUX) as after:
            assert after.hashed >= hashed, (
                f"it was hashed from byte {after.hashed} although {hashed} were (seed {seed})"
            )
            assert after.here >= reached, f"bytes that were safe are gone (seed {seed})"
            hashed, reached = after.hashed, after.here
            there = Path(after.path).read_bytes()
        for start, stop in _known(directory):
            whole = b"".join(map(pattern, range(start // MIB, -(-stop // MIB))))
            assert there[start:stop] == whole[start % MIB :][: stop - start], seed
    again = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    assert hashlib.sha256(b"".join(map(pattern, range(size)))).hexdigest() in again.stdout, seed


def _known(directory: str) -> list[tuple[int, int]]:
    """The bytes that the journal names."""
    journal = Path(directory, f"{part_name(FLUX)}.json")
    return [(start, stop) for start, stop in json.loads(journal.read_text())["extents"]] if journal.exists() else []


def half(directory: str, algorithms: frozenset[Algorithm] = frozenset({"sha256"})) -> int:
    """The first half is here and the file is closed; how much that is."""
    with Partial.open(directory, FLUX, algorithms=algorithms) as partial:
        partial.begin(URL, offer(size=len(CONTENT)))
        append(partial, CONTENT[: len(CONTENT) // 2])
        return partial.reached


def test_a_resumed_file_is_not_hashed_from_the_beginning(directory: str) -> None:
    there = half(directory)
    with Partial.open(directory, FLUX) as partial:
        assert partial.hashed == there
        partial.begin(URL, offer(size=len(CONTENT), start=there))
        append(partial, CONTENT[there:])
        assert partial.finish().digests.sha256 == hashlib.sha256(CONTENT).hexdigest()
    with Partial.open(directory, FLUX) as partial:
        assert (partial.complete, partial.hashed) == (True, len(CONTENT))
        assert partial.finish().digests.sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("damage", ["state", "offset", "check", "gone", "foreign"])
def test_a_damaged_hash_state_is_never_taken_up(directory: str, damage: str) -> None:
    there = half(directory)
    journal = Path(directory, f"{part_name(FLUX)}.json")
    told = json.loads(journal.read_text())
    if damage == "state":
        told["hashed"]["state"] = "00" + told["hashed"]["state"][2:]
    elif damage == "offset":
        told["hashed"]["offset"] -= 64
    elif damage == "check":
        told["hashed"]["check"] = "0" * 16
    elif damage == "gone":
        del told["hashed"]
    else:
        told["hashed"] = {"offset": there, "state": "zz", "check": None}
    journal.write_text(json.dumps(told))
    with Partial.open(directory, FLUX) as partial:
        assert (partial.hashed, partial.reached) == (0, there)
        partial.begin(URL, offer(size=len(CONTENT), start=there))
        append(partial, CONTENT[there:])
        assert partial.finish().digests.sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    "algorithms", [{"blake3"}, {"sha256", "md5"}, {"sha256", "blake3"}], ids=["blake3", "md5", "both"]
)
def test_what_has_no_state_to_save_is_hashed_from_the_beginning(directory: str, algorithms: set[Algorithm]) -> None:
    there = half(directory)
    with Partial.open(directory, FLUX, algorithms=frozenset(algorithms)) as partial:
        assert partial.hashed == 0
        partial.begin(URL, offer(size=len(CONTENT), start=there))
        append(partial, CONTENT[there:])
        got = partial.finish().digests
        assert got.sha256 in (None, hashlib.sha256(CONTENT).hexdigest())
        assert got.blake3 in (None, blake3(CONTENT).hexdigest())


def test_an_offer_of_the_same_object_from_the_first_byte_keeps_what_is_here(directory: str) -> None:
    there = half(directory)
    with Partial.open(directory, FLUX) as partial:
        partial.begin(URL, offer(size=len(CONTENT)))
        assert partial.missing() == ((there, len(CONTENT)),)
        partial.begin(URL, offer(size=len(CONTENT) + 1))
        assert partial.here == 0


def test_no_thread_outlives_its_file(directory: str) -> None:
    half(directory)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("model-")] == []


def test_digests_that_are_both_asked_for_are_made_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher, both = Hasher(BOTH, threads=2), threading.Barrier(2)
    shares = hasher.shares()
    monkeypatch.setattr(hasher, "shares", lambda: [_meeting(share, both) for share in shares])
    with _beside(hasher) as update:
        for start in range(0, len(CONTENT), BLOCK):
            update(memoryview(CONTENT)[start : start + BLOCK])
    found = hasher.digests()
    assert (found.sha256, found.blake3) == (hashlib.sha256(CONTENT).hexdigest(), blake3(CONTENT).hexdigest())


def test_one_digest_alone_needs_no_further_thread() -> None:
    before = threading.active_count()
    with _beside(Hasher(frozenset({"sha256"}), threads=4)) as update:
        update(memoryview(CONTENT))
        assert threading.active_count() == before


def _meeting(share: Callable[[memoryview], None], both: threading.Barrier) -> Callable[[memoryview], None]:
    def update(data: memoryview) -> None:
        both.wait(60)
        share(data)

    return update


def all_taken(turns: Turns) -> ExitStack:
    with ExitStack() as taken:
        for _ in range(HASHING):
            taken.enter_context(turns)
        return taken.pop_all()


def test_no_more_threads_hash_at_once_than_there_are_cores(directory: str) -> None:
    buffers = Buffers()
    with all_taken(buffers.hashing) as taken, Partial.open(directory, FLUX, buffers=buffers) as partial:
        partial.begin(URL, offer(size=len(CONTENT)))
        with closing(partial.lane(0, 2 * BLOCK)) as lane:
            fill(lane, CONTENT[: 2 * BLOCK])
        partial.sync()
        time.sleep(0.1)
        assert (partial.here, partial.hashed) == (2 * BLOCK, 0)
        taken.close()
        append(partial, CONTENT[2 * BLOCK :])
        assert partial.finish().digests.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_what_is_read_back_waits_for_its_turn_too(directory: str) -> None:
    with Partial.open(directory, FLUX, algorithms=frozenset({"blake3"})) as partial:
        partial.begin(URL, offer(size=len(CONTENT)))
        append(partial, CONTENT[: 2 * BLOCK])
    buffers = Buffers()
    with (
        all_taken(buffers.hashing) as taken,
        Partial.open(directory, FLUX, algorithms=frozenset({"blake3"}), buffers=buffers) as partial,
    ):
        partial.begin(URL, offer(start=2 * BLOCK))
        time.sleep(0.1)
        assert partial.hashed == 0
        taken.close()
        append(partial, CONTENT[2 * BLOCK :])
        assert partial.finish().digests.blake3 == blake3(CONTENT).hexdigest()
