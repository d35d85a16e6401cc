from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3
from xxhash import xxh3_128

from model_manager.errors import BadContent, StillChanging
from model_manager.library.contents.hashing import digest_file
from model_manager.library.contents.sampling import SAMPLE, SAMPLED_THRICE, QuickHash, quick_hash
from model_manager.library.disk import fingerprint
from tests.library.shelves import put

KINDS: dict[QuickHash, object] = {"blake3_sample_v1": blake3, "xxh3_128_sample_v1": xxh3_128}


def sparse(path: Path, size: int, **marks: bytes) -> Path:
    """A file of `size` bytes with something at some offsets (`at_…`)."""
    with path.open("wb") as file:
        file.truncate(size)
        for place, data in marks.items():
            file.seek(int(place.removeprefix("at_")))
            file.write(data)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 100, SAMPLE, SAMPLE + 1, SAMPLED_THRICE, SAMPLED_THRICE + 1, 35 * 1024 * 1024 + 3])
def test_the_layout_is_size_beginning_middle_and_end(tmp_path: Path, kind: QuickHash, size: int) -> None:
    middle = size // 2
    file = sparse(tmp_path / "x", size)
    if size:
        with file.open("r+b") as out:
            for place in (0, middle, size - 1):
                out.seek(place)
                out.write(b"m")
    content = file.read_bytes()
    mixed = str(size).encode() + content[:5242880]
    if size > 31457280:
        mixed += content[middle - 2621440 : middle + 2621440] + content[-5242880:]
    found, quick = quick_hash(str(file), kind)
    assert quick == KINDS[kind](mixed).hexdigest()[:16]  # type: ignore[operator]
    assert found == fingerprint(file.stat())


def test_known_values_never_change(tmp_path: Path) -> None:
    """They stand in other people's manifests and databases."""
    file = put(tmp_path / "x", b"weights")
    assert quick_hash(str(file))[1] == "731aff7c55a2d1f7"
    assert quick_hash(str(file), "xxh3_128_sample_v1")[1] == "7f1eeb9088be1e41"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "place"), [(20, 10), (40, 8)])
def test_different_files_can_have_the_same_quick_hash_so_it_is_no_identity(
    tmp_path: Path, kind: QuickHash, size: int, place: int
) -> None:
    mib = 1024 * 1024
    one = sparse(tmp_path / "one", size * mib)
    other = sparse(tmp_path / "other", size * mib, **{f"at_{place * mib}": b"another model"})
    assert quick_hash(str(one), kind)[1] == quick_hash(str(other), kind)[1]
    assert not digest_file(str(one))[1].same_bytes(digest_file(str(other))[1])


def test_files_of_other_sizes_or_beginnings_are_told_apart(tmp_path: Path) -> None:
    files = [put(tmp_path / "a", b"weights"), put(tmp_path / "b", b"weightt"), put(tmp_path / "c", b"weights\0")]
    assert len({quick_hash(str(file))[1] for file in files}) == 3


def test_h6_what_is_no_file_is_not_sampled(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(BadContent):
            quick_hash(str(path))
    with pytest.raises(StillChanging):
        quick_hash(str(tmp_path / "missing"))
