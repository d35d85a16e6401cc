from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from model_manager.errors import BadContent, DiskUnavailable, NoSpace, Occupied
from model_manager.library.contents import previews
from model_manager.library.contents.previews import find, keep, kind_of
from tests.library.faulty import FaultyDisk

JPEG = b"\xff\xd8\xff\xe0 image"
HEADS = {
    "jpeg": JPEG,
    "png": b"\x89PNG\r\n\x1a\n",
    "webp": b"RIFF\0\0\0\0WEBP",
    "gif": b"GIF89a",
    "mp4": b"\0\0\0\x20ftypisom",
    "webm": b"\x1a\x45\xdf\xa3",
}


def test_a_preview_is_found_under_the_names_that_people_have() -> None:
    assert find("/m/a.safetensors", ["a.png", "a.preview.jpeg", "b.png"]) == "/m/a.preview.jpeg"
    assert find("/m/a.safetensors", ["a.safetensors", "a.webp", "a.b.png"]) == "/m/a.webp"
    assert find("/m/a.safetensors", ["b.png", "a.txt"]) == ""


@pytest.mark.parametrize(("kind", "head"), HEADS.items())
def test_an_image_is_kept_under_the_name_that_its_content_earns(tmp_path: Path, kind: str, head: bytes) -> None:
    model = tmp_path / "a.b.safetensors"
    path = keep(str(model), head)
    assert path == str(tmp_path / f"a.b.preview.{kind}")
    assert Path(path).read_bytes() == head
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644
    assert find(str(model), os.listdir(tmp_path)) == path


@pytest.mark.parametrize("content", [b"", b"<html>login</html>", b"\x80\x02}q", b"PK\x03\x04"])
def test_what_is_no_image_is_not_kept(tmp_path: Path, content: bytes) -> None:
    assert kind_of(content) is None
    with pytest.raises(BadContent):
        keep(str(tmp_path / "a.safetensors"), content)
    assert not list(tmp_path.iterdir())


def test_nothing_huge_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "LARGEST", 5)
    with pytest.raises(BadContent, match="bytes"):
        keep(str(tmp_path / "a.safetensors"), JPEG)


def test_what_lies_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.preview.jpeg").write_bytes(b"mine")
    with pytest.raises(Occupied):
        keep(str(tmp_path / "a.safetensors"), JPEG)
    assert (tmp_path / "a.preview.jpeg").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("call", "code", "kind"),
    [("write", errno.ENOSPC, NoSpace), ("sync", errno.EIO, DiskUnavailable), ("rename", errno.EIO, DiskUnavailable)],
)
def test_c1_a_disk_that_fails_leaves_nothing_behind(
    tmp_path: Path, call: str, code: int, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        keep(str(tmp_path / "a.safetensors"), JPEG, FaultyDisk(call, code))
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DiskUnavailable):
        keep(str(tmp_path / "nowhere" / "a.safetensors"), JPEG)
