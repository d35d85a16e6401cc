"""An environment in one file: a `.tar.gz` with its manifest and its workflows, and no model. comfygit's bundles are of this form.

A parcel comes from outside: it is read in memory, never unpacked. Links, devices and names that lead anywhere else are refused,
and so is what expands beyond the bounds.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from model_manager.errors import BadManifest
from model_manager.library.disk import translating

MANIFEST: Final = "pyproject.toml"

MAX_FILES: Final = 2_000
MAX_FILE: Final = 32 * 1024 * 1024
"""Bytes of one file."""

MAX_BYTES: Final = 256 * 1024 * 1024
"""Bytes of all of them together, and of the whole archive when it is expanded."""

_PART: Final = re.compile(r"[^/\\\x00-\x1f\x7f]{1,200}")


def unpacked(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """The files of a parcel by their relative names: `pyproject.toml` and those below `workflows/`; of others nothing is read.

    A pyproject.toml by itself is a parcel without workflows. Raises BadManifest for what is neither, DiskUnavailable.
    """
    name = os.path.basename(os.fspath(path))
    with translating(str(path), "read"), open(path, "rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            return {MANIFEST: _bounded(file.read(MAX_FILE + 1), name)}
        file.seek(0)
        try:
            with gzip.GzipFile(fileobj=file) as plain:
                found = dict(_members(_Bounded(plain, name), name))
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, UnicodeError, ValueError) as error:
            raise BadManifest(name=name, why=f"it is no .tar.gz ({type(error).__name__})") from None
    if MANIFEST not in found:
        raise BadManifest(name=name, why=f"there is no {MANIFEST} in it")
    return found


def packed(files: Mapping[str, bytes]) -> bytes:
    """A parcel of these files. The same files make the same bytes."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(plain.getvalue(), mtime=0)


def _members(stream: _Bounded, name: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for number, member in enumerate(archive):
            if number >= MAX_FILES:
                raise BadManifest(name=name, why=f"it holds more than {MAX_FILES} files")
            place = os.path.normpath(member.name).replace("\\", "/")
            if not member.isfile() or not _wanted(place):
                continue
            body = archive.extractfile(member)
            if member.size > MAX_FILE or body is None:
                raise BadManifest(name=name, why=f"a file in it is larger than {MAX_FILE} bytes")
            yield place, body.read()


def _wanted(place: str) -> bool:
    parts = place.split("/")
    if place == MANIFEST:
        return True
    plain = all(_PART.fullmatch(part) and not part.startswith(".") for part in parts)
    return plain and 1 < len(parts) < 6 and parts[0] == "workflows" and place.endswith(".json")


class _Bounded(io.RawIOBase):
    """What expands to more than MAX_BYTES ends there."""

    def __init__(self, plain: gzip.GzipFile, name: str) -> None:
        self._plain = plain
        self._name = name
        self._left = MAX_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._plain.read(size if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise BadManifest(name=self._name, why=f"it expands beyond {MAX_BYTES} bytes")
        return data


def _bounded(data: bytes, name: str) -> bytes:
    if len(data) > MAX_FILE:
        raise BadManifest(name=name, why=f"it is larger than {MAX_FILE} bytes")
    return data
