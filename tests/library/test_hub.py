from __future__ import annotations

import os
from pathlib import Path

from model_manager.facts.disk import HUB
from model_manager.library.disk import fingerprint
from model_manager.library.hub import blobs
from tests.library.shelves import as_nobody, put

A, B = "a" * 64, "b" * 64


def blob(cache: Path, name: str, repository: str = "models--owner--name") -> Path:
    return put(cache / repository / "blobs" / name)


def test_a_blob_is_found_by_the_hash_that_is_its_name(tmp_path: Path) -> None:
    file = blob(tmp_path, A)
    blob(tmp_path, B)
    (found,) = blobs(str(tmp_path), [A])
    assert (found.file, found.root, found.fingerprint) == (str(file), str(tmp_path), fingerprint(file.stat()))
    assert (found.shelf.folder, found.shelf.name) == (HUB, A)
    assert (found.digests, found.evidence) == (None, None)


def test_the_same_blob_of_two_repositories_is_there_twice_and_those_of_data_sets_are_not(tmp_path: Path) -> None:
    files = [blob(tmp_path, A, f"models--o--{n}") for n in range(2)]
    blob(tmp_path, A, "datasets--o--n")
    assert [found.file for found in blobs(str(tmp_path), {A, B})] == [str(file) for file in files]


def test_unfinished_ones_directories_and_pipes_are_none(tmp_path: Path) -> None:
    blob(tmp_path, f"{A}.incomplete")
    (tmp_path / "models--x--y" / "blobs" / A).mkdir(parents=True)
    os.mkfifo(tmp_path / "models--x--y" / "blobs" / B)
    put(tmp_path / "models--file")
    assert blobs(str(tmp_path), [A, B]) == ()


def test_a_blob_that_a_snapshot_shows_is_the_file_and_one_on_another_disk_is_behind_its_link(tmp_path: Path) -> None:
    target = put(tmp_path / "disk" / "x")
    link = tmp_path / "cache" / "models--o--n" / "blobs" / A
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    (found,) = blobs(str(tmp_path / "cache"), [A])
    assert found.fingerprint == fingerprint(target.stat())


def test_without_a_cache_or_without_a_question_there_is_nothing(tmp_path: Path) -> None:
    blob(tmp_path, A)
    assert blobs(str(tmp_path / "nowhere"), [A]) == ()
    assert blobs(str(tmp_path), []) == ()
    assert blobs(str(put(tmp_path / "file")), [A]) == ()


def test_a_cache_that_is_closed_to_us_is_an_empty_one(tmp_path: Path) -> None:
    blob(tmp_path, A)
    tmp_path.chmod(0o700)

    def look() -> None:
        assert blobs(str(tmp_path), [A]) == ()

    as_nobody(look)
