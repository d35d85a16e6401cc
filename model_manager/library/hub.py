"""HuggingFace's cache of downloads, read only: `models--<owner>--<name>/blobs/<sha256>` (huggingface_hub, file_download.py).

A blob of a large file is named by the SHA-256 that it should have; of a small one by the SHA-1 of git, which has 40 digits.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final

from model_manager.facts.disk import HUB, Held
from model_manager.facts.shelf import ShelfPath
from model_manager.library.disk import fingerprint

MAX_REPOSITORIES: Final = 10_000
"""Repositories of a cache that are looked into."""


def blobs(cache: str, names: Collection[str]) -> tuple[Held, ...]:
    """The files that carry one of these SHA-256 (lower-case hex) as their name, by path, unread.

    What is not there, cannot be listed or is no regular file is left out: a cache is a hint, and nobody depends on it.
    """
    if not names:
        return ()
    found = (_blob(cache, repository, name) for repository in _repositories(cache) for name in names)
    return tuple(sorted(filter(None, found), key=lambda held: held.file))


def _repositories(cache: str) -> Iterator[str]:
    with suppress(OSError), os.scandir(cache) as entries:
        yield from islice((entry.name for entry in entries if entry.name.startswith("models--")), MAX_REPOSITORIES)


def _blob(cache: str, repository: str, name: str) -> Held | None:
    file = os.path.join(cache, repository, "blobs", name)
    try:
        state = os.stat(file)
    except OSError:
        return None
    if not stat.S_ISREG(state.st_mode):
        return None
    return Held(file=file, root=cache, shelf=ShelfPath(folder=HUB, name=name), fingerprint=fingerprint(state))
