from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
import tracemalloc
import zlib
from itertools import pairwise
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from model_manager.errors import BadContent, DiskUnavailable, StillChanging, Stopped
from model_manager.facts.identity import Algorithm, Digests
from model_manager.library.contents.belt import BLOCK, BLOCKS
from model_manager.library.contents.hashing import BOTH, CHUNK, SMALL, Hasher, digest_file
from model_manager.library.contents.pace import Pace
from model_manager.library.disk import fingerprint
from tests.library.shelves import put

ALL: frozenset[Algorithm] = frozenset({"md5", "autov3"})
EVERY: frozenset[Algorithm] = BOTH | {"md5", "crc32", "tensor"}


def safetensors(body: bytes) -> bytes:
    header = json.dumps({"t": {"dtype": "U8", "shape": [len(body)], "data_offsets": [0, len(body)]}}).encode()
    return len(header).to_bytes(8, "little") + header + body


def expected(content: bytes, body: bytes) -> Digests:
    return Digests(
        sha256=hashlib.sha256(content).hexdigest(),
        blake3=blake3(content).hexdigest(),
        md5=hashlib.md5(content).hexdigest(),
        crc32=f"{zlib.crc32(content):08x}",
        tensor=hashlib.sha256(body).hexdigest(),
    )


@given(body=st.binary(min_size=1, max_size=200), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_digests_do_not_depend_on_how_the_bytes_are_cut(body: bytes, cuts: list[int]) -> None:
    content = safetensors(body)
    hasher = Hasher(EVERY)
    edges = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    for start, end in pairwise(edges):
        hasher.update(content[start:end])
    assert hasher.digests() == expected(content, body)


@pytest.mark.parametrize(
    "content", [b"", b"short", (2**63).to_bytes(8, "little") + b"x" * 20, safetensors(b"")], ids=range(4)
)
def test_k7_bytes_without_a_body_after_a_header_have_no_autov3(content: bytes) -> None:
    hasher = Hasher(ALL)
    hasher.update(content)
    assert hasher.digests().tensor is None


def test_a_file_is_read_whole_with_its_fingerprint_and_progress(tmp_path: Path) -> None:
    content = os.urandom(CHUNK * 2 + 17)
    file = put(tmp_path / "x", content)
    told: list[int] = []
    found, digests = digest_file(str(file), ALL, progress=told.append)
    assert digests.sha256 == hashlib.sha256(content).hexdigest()
    assert found == fingerprint(file.stat())
    assert told == [CHUNK, 2 * CHUNK, 2 * CHUNK + 17]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("more", [-1, 0, 1, BLOCK])
def test_every_digest_is_the_same_on_any_number_of_threads(tmp_path: Path, threads: int, more: int) -> None:
    body = os.urandom(CHUNK) * ((SMALL + BLOCK) // CHUNK + 1)
    content = safetensors(body)[: SMALL + 2 * BLOCK + more]
    file = put(tmp_path / "x", content)
    digests = digest_file(str(file), EVERY, threads=threads)[1]
    header = 8 + int.from_bytes(content[:8], "little")
    assert digests == expected(content, content[header:])


@pytest.mark.parametrize("algorithm", ["sha256", "blake3"])
def test_one_full_digest_alone_is_computed_alone(tmp_path: Path, algorithm: Algorithm) -> None:
    content = os.urandom(CHUNK) * (2 * SMALL // CHUNK)
    digests = digest_file(str(put(tmp_path / "x", content)), frozenset({algorithm}), threads=4)[1]
    full = hashlib.sha256(content) if algorithm == "sha256" else blake3(content)
    assert digests == Digests(**{algorithm: full.hexdigest()})


def test_with_one_thread_nothing_leaves_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(tmp_path / "x", bytes(2 * SMALL))
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread began"))
    assert digest_file(str(file), EVERY, threads=1)[1].sha256 == hashlib.sha256(bytes(2 * SMALL)).hexdigest()


def test_work_is_dealt_out_by_its_cost() -> None:
    assert [len(Hasher(EVERY, threads=threads).shares()) for threads in (1, 2, 3, 9)] == [1, 2, 3, 5]


def test_a_large_file_is_read_once_and_through_few_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 7 * BLOCK + 5
    with (tmp_path / "x").open("wb") as out:
        out.truncate(size)
    real, reads, memory = os.preadv, [], set()

    def noted(fd: int, buffers: list[memoryview], offset: int) -> int:
        memory.add(id(buffers[0].obj))
        reads.append((offset, got := real(fd, buffers, offset)))
        return got

    monkeypatch.setattr(os, "preadv", noted)
    told: list[int] = []
    digest_file(str(tmp_path / "x"), EVERY, threads=4, progress=told.append)
    assert sum(got for _, got in reads) == size
    assert len(memory) == BLOCKS
    assert told == sorted(told)
    assert told[-1] == size


@pytest.mark.parametrize("threads", [1, 4])
def test_d7_memory_stays_flat_whatever_the_size(tmp_path: Path, threads: int) -> None:
    file = tmp_path / "x"
    with file.open("wb") as out:
        out.truncate(64 * CHUNK)
    tracemalloc.start()
    digest_file(str(file), threads=threads)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * CHUNK


@pytest.mark.parametrize("change", ["append", "rewrite", "exchange", "remove", "cut"])
def test_h3_a_large_file_that_changes_while_several_threads_read_has_no_digest(tmp_path: Path, change: str) -> None:
    """One that is cut short must end neither the process nor in the digest of what is left."""
    file = put(tmp_path / "x", bytes(SMALL + 3 * BLOCK))
    once = iter([True])

    def meddle(done: int) -> None:
        if not next(once, False):
            return
        if change == "append":
            with file.open("ab") as out:
                out.write(b"more")
        elif change == "rewrite":
            os.utime(file, ns=(1, 1))
        elif change == "exchange":
            os.replace(put(tmp_path / "y", bytes(SMALL + 3 * BLOCK)), file)
        elif change == "remove":
            file.unlink()
        else:
            os.truncate(file, BLOCK + 1)

    with pytest.raises(StillChanging):
        digest_file(str(file), threads=4, progress=meddle)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("pace", [Pace(1.0), Pace()], ids=["slow", "held"])
def test_d8_a_reading_that_waits_for_its_pace_stops_when_asked(tmp_path: Path, threads: int, pace: Pace) -> None:
    if pace.rate is None:
        pace.held = True
    file = put(tmp_path / "x", bytes(2 * SMALL))
    asked = iter([False] * 3)
    before = threading.active_count()
    with pytest.raises(Stopped):
        digest_file(str(file), threads=threads, pace=pace, cancelled=lambda: next(asked, True))
    assert threading.active_count() == before


@pytest.mark.parametrize("threads", [1, 4])
def test_what_the_disk_cannot_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    file = put(tmp_path / "x", bytes(2 * SMALL))
    real = os.preadv

    def failing(fd: int, buffers: list[memoryview], offset: int) -> int:
        if offset >= BLOCK:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", failing)
    before = threading.active_count()
    with pytest.raises(DiskUnavailable, match="Input/output error"):
        digest_file(str(file), threads=threads)
    assert threading.active_count() == before


@pytest.mark.parametrize("threads", [1, 4])
def test_a_file_pays_for_exactly_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    paid: list[int] = []
    pace = Pace(1)
    monkeypatch.setattr(pace, "take", lambda size, _: paid.append(size) or True)
    digest_file(str(put(tmp_path / "x", bytes(2 * SMALL + 3))), threads=threads, pace=pace)
    assert sum(paid) == 2 * SMALL + 3


@pytest.mark.parametrize("change", ["append", "rewrite", "exchange", "remove"])
def test_h3_a_file_that_changes_while_it_is_read_has_no_digest(tmp_path: Path, change: str) -> None:
    file = put(tmp_path / "x", os.urandom(2 * CHUNK))

    def meddle(done: int) -> None:
        if done > CHUNK:
            return
        if change == "append":
            with file.open("ab") as out:
                out.write(b"more")
        elif change == "rewrite":
            with file.open("r+b") as out:
                out.write(b"other")
            os.utime(file, ns=(1, 1))
        elif change == "exchange":
            os.replace(put(tmp_path / "y", b"other"), file)
        else:
            file.unlink()

    with pytest.raises(StillChanging):
        digest_file(str(file), progress=meddle)


def test_h6_a_fifo_a_directory_and_a_socketless_device_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(BadContent):
            digest_file(str(path))


def test_d8_reading_stops_when_asked(tmp_path: Path) -> None:
    file = put(tmp_path / "x", bytes(3 * CHUNK))
    asked = iter([False, True])
    with pytest.raises(Stopped):
        digest_file(str(file), cancelled=lambda: next(asked))


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DiskUnavailable):
        digest_file(str(tmp_path / "loop"))
    with pytest.raises(StillChanging):
        digest_file(str(tmp_path / "missing"))
