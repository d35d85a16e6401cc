from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from model_manager.errors import BadContent, DiskUnavailable, StillChanging, Stopped
from model_manager.facts.identity import Digests
from model_manager.library.disk import fingerprint
from model_manager.library.hashing import BOTH, CHUNK, Hasher, digest_file
from tests.library.shelves import put

ALL = frozenset({"md5", "autov3"})


def safetensors(body: bytes) -> bytes:
    header = json.dumps({"t": {"dtype": "U8", "shape": [len(body)], "data_offsets": [0, len(body)]}}).encode()
    return len(header).to_bytes(8, "little") + header + body


def expected(content: bytes, body: bytes) -> Digests:
    return Digests(
        sha256=hashlib.sha256(content).hexdigest(),
        blake3=blake3(content).hexdigest(),
        md5=hashlib.md5(content).hexdigest(),
        tensor=hashlib.sha256(body).hexdigest(),
    )


@given(body=st.binary(min_size=1, max_size=200), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_digests_do_not_depend_on_how_the_bytes_are_cut(body: bytes, cuts: list[int]) -> None:
    content = safetensors(body)
    hasher = Hasher(BOTH | ALL)
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


def test_d7_memory_stays_flat_whatever_the_size(tmp_path: Path) -> None:
    file = tmp_path / "x"
    with file.open("wb") as out:
        out.truncate(64 * CHUNK)
    tracemalloc.start()
    digest_file(str(file))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * CHUNK


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
