"""What must happen so that a machine holds what it was assigned: one value that can be printed, tested and carried out."""

from __future__ import annotations

from dataclasses import dataclass

from model_manager.facts.disk import Held
from model_manager.facts.model import Wanted
from model_manager.facts.shelf import ShelfPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """It is here and was judged right."""

    wanted: Wanted
    held: Held


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A file is in its place but has not been judged against this promise yet: read it whole first."""

    wanted: Wanted
    held: Held


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The same bytes (by a full digest) are here under another name: no download. `replaces` is as for Fetch."""

    wanted: Wanted
    held: Held
    replaces: Held | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """It must be downloaded. `bytes` is the best knowledge of its size, 0 if none; `replaces` is a wrong file in its place.

    `after` names another fetch of the same content: when that one is here, this one becomes a Link. `candidates` are files
    that may be these very bytes under another name, unread: the download waits while they are read, and goes on without
    those that turn out to be something else, cannot be read, or take longer than a download would.
    """

    wanted: Wanted
    bytes: int
    replaces: Held | None = None
    after: ShelfPath | None = None
    candidates: tuple[Held, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether it must not start yet: it may still become a Link."""
        return self.after is not None or bool(self.candidates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """It cannot be had as described; the reason says what to change."""

    wanted: Wanted
    why: str


Step = Keep | Check | Link | Fetch | Refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Steps in order of work: what needs no download first, then downloads as decisions/ordering.py has them. `bytes` is what
    will be downloaded at most."""

    generation: str
    steps: tuple[Step, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(step.bytes for step in self.steps if isinstance(step, Fetch))
