from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from model_manager.errors import BadManifest, DiskUnavailable
from model_manager.library.carried import parcels
from model_manager.library.carried.parcels import packed, unpacked

FILES = {"pyproject.toml": b"[tool]\n", "workflows/a.json": b"{}", "workflows/sub/b c.json": b"[]"}


def archive(*members: tuple[str | tarfile.TarInfo, bytes]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as made:
        for name, data in members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return gzip.compress(plain.getvalue(), mtime=0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "e.tar.gz"


def test_what_is_packed_is_unpacked_and_the_same_files_make_the_same_bytes(file: Path) -> None:
    file.write_bytes(packed(FILES))
    assert unpacked(file) == FILES
    assert packed(dict(reversed(FILES.items()))) == packed(FILES)


def test_a_manifest_by_itself_is_a_parcel(file: Path) -> None:
    file.write_bytes(b"[tool]\n")
    assert unpacked(file) == {"pyproject.toml": b"[tool]\n"}


def test_k3_only_the_manifest_and_workflows_are_read_whatever_else_is_in_it(file: Path) -> None:
    link = tarfile.TarInfo("workflows/link.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    strange = [
        "/etc/x.json",
        "../workflows/x.json",
        "workflows/../../x.json",
        "workflows/.hidden.json",
        "workflows/x.sh",
        "x.json",
        "workflows/a\nb.json",
    ]
    members = [(name, b"bad") for name in strange]
    file.write_bytes(archive(("./pyproject.toml", b"[tool]\n"), (link, b""), *members, ("workflows/a.json", b"{}")))
    assert unpacked(file) == {"pyproject.toml": b"[tool]\n", "workflows/a.json": b"{}"}


def test_a_parcel_without_a_manifest_is_none(file: Path) -> None:
    file.write_bytes(archive(("workflows/a.json", b"{}")))
    with pytest.raises(BadManifest, match=r"no pyproject.toml"):
        unpacked(file)


@pytest.mark.parametrize(
    "data", [b"\x1f\x8b", b"\x1f\x8bnonsense", gzip.compress(b"no archive at all" * 100, mtime=0), packed(FILES)[:60]]
)
def test_what_is_cut_off_or_no_archive_is_refused(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    with pytest.raises(BadManifest):
        unpacked(file)


def test_a_file_that_is_not_there_is_a_typed_failure(file: Path) -> None:
    with pytest.raises(DiskUnavailable):
        unpacked(file)


def test_b10_what_expands_without_end_ends_at_the_bound(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "MAX_BYTES", 100_000)
    file.write_bytes(archive(("big", bytes(1_000_000)), ("pyproject.toml", b"")))
    with pytest.raises(BadManifest, match="expands"):
        unpacked(file)


def test_too_many_files_or_one_that_is_too_large_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "MAX_FILES", 2)
    file.write_bytes(packed(FILES))
    with pytest.raises(BadManifest, match="more than 2 files"):
        unpacked(file)
    monkeypatch.setattr(parcels, "MAX_FILES", 10)
    monkeypatch.setattr(parcels, "MAX_FILE", 1)
    with pytest.raises(BadManifest, match="larger"):
        unpacked(file)
    file.write_bytes(b"[tool]\n")
    with pytest.raises(BadManifest, match="larger"):
        unpacked(file)
