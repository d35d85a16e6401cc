"""The environment that a command is about: a directory with a pyproject.toml, and the workflows that it tracks."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from model_manager.errors import BadManifest, BadRequest, BadWorkflow, NotFound
from model_manager.facts.manifest import Manifest, Tracked
from model_manager.library.disk import translating

NAME: Final = "pyproject.toml"
MOST: Final = 4 * 1024 * 1024
"""Bytes of a manifest."""
MOST_OF_NAME: Final = 120
"""Bytes of a workflow's name: a file of this name can still have an ending and a copy in the making beside it."""

environment_option = click.option(
    "-C", "--environment", "directory", type=click.Path(path_type=Path), default=Path(), metavar="DIR",
    help="The environment's directory; its pyproject.toml is the manifest. Default: here.",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Its directory, absolute, and the text of its manifest, '' while there is none."""

    directory: Path
    text: str

    @property
    def file(self) -> Path:
        return self.directory / NAME

    @property
    def manifest(self) -> Manifest:
        """Raises BadManifest."""
        from model_manager.decisions.manifesting import read

        return read(self.text, str(self.file))

    def path_of(self, workflow: Tracked) -> Path:
        return self.directory / workflow.file

    def save(self, text: str) -> None:
        """The manifest in one step; who reads it sees the old text or the new one. Raises BadRequest when somebody else wrote it
        meanwhile."""
        with _alone(self.directory):
            if _text(self.file) != self.text:
                raise BadRequest(why=f"{self.file} was changed meanwhile", fix="Run the command again.")
            if text != self.text:
                write(self.file, text.encode())


def opened(directory: Path) -> Environment:
    """The environment of a directory. Raises BadManifest for a file that is no text, DiskUnavailable."""
    absolute = plain(directory)
    return Environment(directory=absolute, text=_text(absolute / NAME))


def plain(path: Path) -> Path:
    """Absolute, and without a `..` by which it only seems to lie below something."""
    return Path(os.path.normpath(path.absolute()))


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Between looking and writing no other of our commands writes: the lock is the directory itself, and leaves nothing behind."""
    with translating(str(directory), "write"):
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with translating(str(directory), "write"):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _text(file: Path) -> str:
    with translating(str(file), "read"):
        try:
            with file.open("rb") as manifest:
                data = manifest.read(MOST + 1)
        except FileNotFoundError:
            return ""
    try:
        if len(data) > MOST:
            raise BadManifest(name=file, why=f"it is larger than {MOST} bytes")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadManifest(name=file, why="it is not UTF-8") from None


def write(file: Path, data: bytes) -> None:
    """By rename, with the mode that the file had. Raises NoSpace, DiskUnavailable."""
    with translating(str(file), "write"):
        file.parent.mkdir(parents=True, exist_ok=True)
        target = file.resolve()
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as made:
                made.write(data)
                made.flush()
                os.fchmod(made.fileno(), mode)
                os.fsync(made.fileno())
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise


def _umask() -> int:
    """Asked by setting it: there is no other way."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def workflow_path(environment: Environment, text: str) -> tuple[Path, Tracked | None]:
    """The file that a person means: one that is there, or a tracked workflow by its name. Raises NotFound."""
    tracked = environment.manifest.workflow(text)
    if tracked is not None:
        return environment.path_of(tracked), tracked
    path = plain(Path(text))
    if text and os.path.isfile(path):
        known = environment.manifest.workflows
        return path, next((flow for flow in known if plain(environment.path_of(flow)) == path), None)
    if text and os.path.exists(path):
        raise BadWorkflow(name=path.name, why="it is no regular file")
    raise NotFound(where=f"this machine, or the environment {environment.directory},", name=f"workflow {text}")


def holds(environment: Environment, workflow: Tracked) -> bool:
    """Whether the workflow's file lies in the environment: a manifest that somebody else wrote may name any file of this machine."""
    return plain(environment.path_of(workflow)).is_relative_to(environment.directory)


def name_as_file(name: str) -> str:
    """A workflow's name as a file's, without its ending: a name from outside leads nowhere else, and every disk takes it."""
    kept = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in name).lstrip(".")
    return kept.encode()[:MOST_OF_NAME].decode(errors="ignore") or "workflow"
