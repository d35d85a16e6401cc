from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from model_manager.facts.disk import Held
from model_manager.facts.shelf import ShelfPath
from model_manager.library.disk import fingerprint
from model_manager.library.pages import Page

NAMES = ("a.pt", "b.pt", "notes.txt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as listed:
        return list(listed)


def page(folder: Path) -> Page:
    listed = entries(folder)
    models = [entry for entry in listed if entry.name.endswith(".pt")]
    here = [entry in models for entry in listed]
    return Page.of(f"{folder}/", here, [held(Path(entry.path)) for entry in models])


def held(file: Path) -> Held:
    return Held(
        file=str(file),
        root="/srv",
        shelf=ShelfPath(folder="loras", name=file.name),
        fingerprint=fingerprint(file.stat()),
        digests=None,
        evidence=None,
        against="",
        verified_at="",
    )


def replaced(file: Path) -> None:
    """Another file with the same size and time."""
    state = file.stat()
    (file.parent / "x").write_bytes(file.read_bytes())
    os.utime(file.parent / "x", ns=(state.st_atime_ns, state.st_mtime_ns))
    (file.parent / "x").rename(file)


def test_a_directory_is_the_same_whatever_happens_to_files_that_are_no_models(folder: Path) -> None:
    seen = page(folder)
    (folder / "notes.txt").write_text("other")
    assert seen.same(entries(folder), linked=True)
    assert (seen.whole, seen.bytes, sorted(seen.names)) == (False, 8, ["a.pt", "b.pt"])


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.pt").write_bytes(b"longer than it was"),
        lambda folder: os.utime(folder / "a.pt", ns=(5, 5)),
        lambda folder: replaced(folder / "a.pt"),
        lambda folder: (folder / "a.pt").rename(folder / "c.pt"),
        lambda folder: (folder / "a.pt").unlink(),
        lambda folder: (folder / "c.pt").touch(),
    ],
)
def test_a_directory_in_which_any_model_differs_is_another(folder: Path, change: Callable[[Path], object]) -> None:
    seen = page(folder)
    change(folder)
    assert not seen.same(entries(folder), linked=False)


def test_links_are_looked_at_one_by_one_where_they_may_be_our_own(folder: Path) -> None:
    (folder / "old").mkdir()
    (folder / "a.pt").rename(folder / "old/a")
    (folder / "a.pt").symlink_to(folder / "old/a")
    seen = page(folder)
    assert seen.same(entries(folder), linked=False)
    assert not seen.same(entries(folder), linked=True)
    (folder / "old/a").unlink()
    with pytest.raises(FileNotFoundError):
        seen.same(entries(folder), linked=False)
