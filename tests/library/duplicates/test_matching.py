from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from model_manager.errors import Stopped
from model_manager.library.disk import opened
from model_manager.library.duplicates.matching import PIECE, same_bytes

DATA = os.urandom(PIECE + 1000)


@contextmanager
def both(tmp_path: Path, one: bytes, other: bytes) -> Iterator[tuple[int, int]]:
    with ExitStack() as stack:
        for name, data in (("one", one), ("other", other)):
            (tmp_path / name).write_bytes(data)
        one_fd, other_fd = (stack.enter_context(opened(str(tmp_path / name), os.O_RDONLY)) for name in ("one", "other"))
        yield one_fd, other_fd


def test_equal_files_are_told_piece_by_piece(tmp_path: Path) -> None:
    told: list[int] = []
    with both(tmp_path, DATA, DATA) as files:
        assert same_bytes(*files, len(DATA), progress=told.append)
    assert told == [PIECE, len(DATA)]


@pytest.mark.parametrize("at", [0, PIECE - 1, PIECE, len(DATA) - 1])
def test_one_different_byte_anywhere_is_seen(tmp_path: Path, at: int) -> None:
    changed = bytearray(DATA)
    changed[at] ^= 1
    with both(tmp_path, DATA, bytes(changed)) as files:
        assert not same_bytes(*files, len(DATA))


@pytest.mark.parametrize("size", [0, 1000, PIECE])
def test_a_shorter_file_is_another_one(tmp_path: Path, size: int) -> None:
    with both(tmp_path, DATA, DATA[:size]) as files:
        assert not same_bytes(*files, len(DATA))


def test_comparing_can_be_stopped(tmp_path: Path) -> None:
    with both(tmp_path, DATA, DATA) as files, pytest.raises(Stopped, match="Comparing x"):
        same_bytes(*files, len(DATA), cancelled=lambda: True, what="x")
