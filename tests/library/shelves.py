"""Models directories for the tests of this room."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from model_manager.facts.disk import Root
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Offer
from model_manager.library.markers import PARTIAL, mark

FLUX = ShelfPath(folder="checkpoints", name="flux.safetensors")
URL = "https://origin.test/flux.safetensors"
ETAG = '"abc"'


def own_root(path: Path) -> Root:
    path.mkdir(parents=True, exist_ok=True)
    mark(str(path))
    return Root(path=str(path), own=True)


def staging(root: Root) -> str:
    return os.path.join(root.path, PARTIAL)


def put(path: Path, content: bytes = b"weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def offer(size: int | None = None, start: int = 0, validator: str | None = ETAG) -> Offer:
    return Offer(size=size, validator=validator, promise=None, start=start, host="origin.test")


def as_nobody(work: Callable[[], None]) -> None:
    """Run `work` in a child process as user 65534; its failure is ours. Root may read everything, nobody may not."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            work()
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
