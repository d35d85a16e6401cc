"""The preview image beside a model: found under every name that people have, kept under the name that its content earns."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Literal

from model_manager.errors import BadContent, Occupied
from model_manager.facts.companions import belongings, stem
from model_manager.library.disk import Disk, opened, translating, write_all

Kind = Literal["jpeg", "png", "webp", "gif", "mp4", "webm"]

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a preview that is kept."""

_MODE: Final = 0o644
_MAGIC: Final[tuple[tuple[int, bytes, Kind], ...]] = (
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (8, b"WEBP", "webp"),
    (0, b"GIF8", "gif"),
    (4, b"ftyp", "mp4"),
    (0, b"\x1a\x45\xdf\xa3", "webm"),
)
"""Where in a file, what stands there, and what the file is then."""


def find(file: str, names: Iterable[str]) -> str:
    """The absolute path of a model's preview among the names in its directory, "" when there is none."""
    directory, name = os.path.split(file)
    own = belongings([*names, name]).get(name)
    return os.path.join(directory, own.preview) if own and own.preview else ""


def kind_of(head: bytes) -> Kind | None:
    """What an image or a video is by its first bytes; None for anything else, a web page above all."""
    return next((kind for at, magic, kind in _MAGIC if head.startswith(magic, at)), None)


def keep(file: str, data: bytes, disk: Disk | None = None) -> str:
    """Put a preview beside a model, whole or not at all; its absolute path. What lies there is never overwritten.

    Raises BadContent for what is no image or video or is too large, Occupied when the name is taken, DiskUnavailable, NoSpace.
    """
    directory, name = os.path.split(file)
    kind = kind_of(data)
    if kind is None or len(data) > LARGEST:
        why = "the preview offered for it is no image" if kind is None else f"its preview has {len(data)} bytes"
        raise BadContent(name=name, why=why)
    final = f"{stem(name)}.preview.{kind}"
    path = os.path.join(directory, final)
    with translating(path, "write"), opened(directory, os.O_RDONLY | os.O_DIRECTORY) as folder:
        _place(disk or Disk(), folder, final, path, data)
    return path


def _place(disk: Disk, folder: int, final: str, path: str, data: bytes) -> None:
    draft = f".{secrets.token_hex(8)}.tmp"
    try:
        with opened(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE, folder=folder) as fd:
            write_all(disk, fd, data)
            os.fchmod(fd, _MODE)
            disk.sync(fd)
        disk.rename(draft, final, old_folder=folder, new_folder=folder)
    except OSError as error:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        if isinstance(error, FileExistsError):
            raise Occupied(path=path, why="a preview is there already") from error
        raise
    disk.sync(folder)
