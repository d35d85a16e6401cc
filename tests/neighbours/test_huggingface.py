from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_manager.facts.description import Claim
from model_manager.neighbours import huggingface
from tests.neighbours.writing import file

SHA = "a1" * 32
AT = "2026-01-02T03:04:05Z"
MTIME = 1_700_000_000.25


def note(directory: Path, name: str, text: str) -> Path:
    path = directory / ".cache" / "huggingface" / "download" / f"{name}.metadata"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def lines(etag: str = SHA, when: float = MTIME + 5) -> str:
    return f"{'c' * 40}\n{etag}\n{when}\n"


def test_the_etag_of_a_large_file_is_its_sha256(tmp_path: Path) -> None:
    path = file(tmp_path / "sub" / "x.safetensors", 7, MTIME)
    note(tmp_path, "sub/x.safetensors", lines())
    found = huggingface.read(str(tmp_path), AT)
    (lore,) = found.lore
    assert (lore.file, lore.size, lore.mtime) == (str(path), 7, MTIME)
    assert lore.claims == (Claim.parse(SHA, "huggingface", "sha256"),)
    assert not found.odd


@pytest.mark.parametrize("below", ["", "loras", "loras/set"])
def test_notes_lie_in_the_directory_that_was_downloaded_into(tmp_path: Path, below: str) -> None:
    file(tmp_path / below / "x.ckpt", 7, MTIME)
    note(tmp_path / below, "x.ckpt", lines(f'"{SHA.upper()}"'))
    assert len(huggingface.read(str(tmp_path), AT).lore) == 1


def test_small_files_and_files_that_left_are_nothing(tmp_path: Path) -> None:
    file(tmp_path / "config.json", 7, MTIME)
    note(tmp_path, "config.json", lines("b" * 40))
    note(tmp_path, "gone.ckpt", lines())
    assert huggingface.read(str(tmp_path), AT) == huggingface.Findings()


def test_a_file_that_changed_after_its_download_is_reported(tmp_path: Path) -> None:
    path = file(tmp_path / "x.ckpt", 7, MTIME)
    note(tmp_path, "x.ckpt", lines(when=MTIME - 0.5))
    assert len(huggingface.read(str(tmp_path), AT).lore) == 1
    os.utime(path, (MTIME + 9, MTIME + 9))
    found = huggingface.read(str(tmp_path), AT)
    assert not found.lore
    assert found.odd[0].where == str(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        lines("short"),
        lines("g" * 64),
        f"c\n{SHA}\n",
        f"c\n{SHA}\nnow\n",
        lines() + "more\n",
        "\0" * 100,
        lines() + "x" * 9000,
    ],
)
def test_k7_notes_of_another_shape_are_oddities(tmp_path: Path, text: str) -> None:
    file(tmp_path / "x.ckpt", 7, MTIME)
    path = note(tmp_path, "x.ckpt", text)
    found = huggingface.read(str(tmp_path), AT)
    assert not found.lore
    assert [each.where for each in found.odd] == [str(path)]


def test_h6_a_pipe_in_place_of_a_note_is_an_oddity(tmp_path: Path) -> None:
    file(tmp_path / "x.ckpt", 7, MTIME)
    path = note(tmp_path, "x.ckpt", "")
    path.unlink()
    os.mkfifo(path)
    assert len(huggingface.read(str(tmp_path), AT).odd) == 1


def test_where_nothing_was_downloaded_nothing_is_found(tmp_path: Path) -> None:
    assert huggingface.read(str(tmp_path), AT) == huggingface.Findings()
    assert huggingface.read(str(tmp_path / "nowhere"), AT) == huggingface.Findings()


def test_notes_and_places_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        file(tmp_path / f"{n}.ckpt", 7, MTIME)
        note(tmp_path, f"{n}.ckpt", lines())
    monkeypatch.setattr(huggingface, "MAX_NOTES", 3)
    assert len(huggingface.read(str(tmp_path), AT).lore) == 3
    monkeypatch.setattr(huggingface, "MAX_DIRECTORIES", 0)
    assert not huggingface.read(str(tmp_path), AT).lore
