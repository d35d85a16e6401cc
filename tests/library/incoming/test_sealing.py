from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from model_manager.errors import Broken, Corrupt, DiskUnavailable, NoSpace
from model_manager.facts.identity import Pin
from model_manager.facts.transfer import Received
from model_manager.library.disk import Disk
from model_manager.library.incoming.buffers import BLOCK, Buffers
from model_manager.library.incoming.lane import fill
from model_manager.library.incoming.partial import AT_ONCE, Partial
from model_manager.library.incoming.staging import part_name
from tests.library.faulty import FaultyDisk
from tests.library.feeding import append, exchange_disk
from tests.library.shelves import FLUX, URL, offer, own_root, staging

CONTENT = os.urandom(2 * BLOCK + 777)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return staging(own_root(tmp_path / "models"))


def seal(partial: Partial, content: bytes = CONTENT, **more: object) -> Received:
    promised = offer(size=len(content))
    whole = partial.whole(promised, judge=lambda head: None, short=lambda: None)
    assert whole is not None
    try:
        fill(whole, content)  # type: ignore[arg-type]
        return partial.seal(whole, URL, promised, **more)  # type: ignore[arg-type]
    finally:
        whole.drop()


def data_of(directory: str) -> Path:
    return Path(directory, part_name(FLUX))


@pytest.mark.parametrize("size", [1, 4096, BLOCK, BLOCK + 1, len(CONTENT), 6 * BLOCK])
def test_a_short_object_is_written_and_hashed_at_once(directory: str, size: int) -> None:
    content, buffers = (CONTENT * 3)[:size], Buffers(8)
    with Partial.open(directory, FLUX, buffers=buffers) as partial:
        got = seal(partial, content)
        assert (got.size, got.fetched, partial.here) == (size, size, size)
        assert got.digests.sha256 == hashlib.sha256(content).hexdigest()
        assert data_of(directory).read_bytes() == content
        assert data_of(directory).stat().st_mode & 0o777 == 0o644
        assert buffers.free == 8


def test_d2_a_sealed_file_is_finished_again_without_the_network(directory: str) -> None:
    pin = Pin(algorithms=("sha256",), hex=DIGEST)
    with Partial.open(directory, FLUX) as partial:
        seal(partial, pin=pin)
    with Partial.open(directory, FLUX) as again:
        assert again.complete
        assert again.finish().digests.sha256 == DIGEST
        assert again.resumable("https://elsewhere.test/flux", pin)[0] == len(CONTENT)


def test_d1_bytes_in_memory_leave_nothing_behind_but_an_empty_file(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        whole = partial.whole(offer(size=len(CONTENT)), judge=lambda head: None, short=lambda: None)
        assert whole is not None
        fill(whole, CONTENT)  # type: ignore[arg-type]
        whole.drop()
    with Partial.open(directory, FLUX) as again:
        assert (again.here, again.complete) == (0, False)


def test_only_short_objects_of_which_nothing_is_here_come_whole(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        for size in (None, 0, AT_ONCE + 1):
            assert partial.whole(offer(size=size), judge=lambda head: None, short=lambda: None) is None
        partial.begin(URL, offer(size=len(CONTENT)))
        append(partial, CONTENT[:2000])
        assert partial.whole(offer(size=len(CONTENT)), judge=lambda head: None, short=lambda: None) is None


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_c1_c4_a_sync_that_fails_is_never_trusted(directory: str, code: int) -> None:
    with Partial.open(directory, FLUX) as partial:
        exchange_disk(partial, FaultyDisk("sync", code))
        with pytest.raises(NoSpace if code == errno.ENOSPC else DiskUnavailable):
            seal(partial)
        with pytest.raises(Broken):
            partial.settle()
    with Partial.open(directory, FLUX) as again:
        assert again.here == 0


def test_c1_a_full_disk_gets_its_blocks_back(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        exchange_disk(partial, FaultyDisk("write", errno.ENOSPC, at=2, taking=BLOCK))
        with pytest.raises(NoSpace):
            seal(partial)
        assert data_of(directory).stat().st_size == 0
        exchange_disk(partial, Disk())
        assert seal(partial).digests.sha256 == DIGEST


def test_c2_the_floor_of_the_disk_is_asked_before_the_first_byte(directory: str) -> None:
    def full(size: int) -> None:
        raise NoSpace(root=directory, free=0, name="flux", need=size, floor=0)

    with Partial.open(directory, FLUX) as partial:
        with pytest.raises(NoSpace, match=str(len(CONTENT))):
            seal(partial, writing=full)
        assert data_of(directory).stat().st_size == 0


def test_c6_short_writes_are_completed_and_read_back(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        exchange_disk(partial, FaultyDisk(taking=300_000))
        assert seal(partial).digests.sha256 == DIGEST
        assert data_of(directory).read_bytes() == CONTENT


class Liar(Disk):
    """Every second write does nothing and says that it did."""

    def __init__(self) -> None:
        self._turn = 0

    def write(self, fd: int, pieces: Sequence[memoryview], offset: int) -> int:
        self._turn += 1
        if self._turn % 2:
            return super().write(fd, [pieces[0][:BLOCK]], offset)
        return min(BLOCK, sum(map(len, pieces)))


def test_c6_a_write_that_lies_is_found_before_anybody_believes_the_file(directory: str) -> None:
    with Partial.open(directory, FLUX) as partial:
        exchange_disk(partial, Liar())
        with pytest.raises(Corrupt, match="does not have the bytes that were written"):
            seal(partial)
    assert os.listdir(directory) == []
