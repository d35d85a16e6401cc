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
    """The same bytes (by a full digest) are here under another name: no download."""

    wanted: Wanted
    held: Held


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """It must be downloaded. `bytes` is the best knowledge of its size, 0 if none; `replaces` is a wrong file in its place.

    `after` names another fetch of the same content: when that one is here, this one becomes a Link.
    """

    wanted: Wanted
    bytes: int
    replaces: Held | None = None
    after: ShelfPath | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """It cannot be had as described; the reason says what to change."""

    wanted: Wanted
    why: str


Step = Keep | Check | Link | Fetch | Refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Steps in order of work: required before optional, then small before large. `bytes` is what will be downloaded."""

    generation: str
    steps: tuple[Step, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(step.bytes for step in self.steps if isinstance(step, Fetch))
