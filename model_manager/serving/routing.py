"""A route as a row of a table: a server, its checks and its OpenAPI document follow the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from model_manager.serving.asking import Param

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`answer`: the record that a good answer holds, None for text of another `content`. `takes`: of its body, if any, as
    JSON or as one of `media`. `good`: statuses of good answers. `refusals`: further statuses that this route may answer, in
    the shape of `refusal` (None: the document's own)."""

    method: str
    path: str
    name: str
    summary: str
    params: tuple[Param, ...] = ()
    answer: Any = None
    content: str = JSON
    takes: str = ""
    media: tuple[str, ...] = (JSON,)
    body_required: bool = True
    secured: bool | None = None
    good: tuple[int, ...] = (200,)
    refusals: tuple[int, ...] = ()
    refusal: Any = None

    @property
    def needs_token(self) -> bool:
        """Unless `secured` says otherwise, what takes a body does."""
        return bool(self.takes) if self.secured is None else self.secured


def specific_first(routes: Sequence[Route]) -> list[Route]:
    """Paths without variables before those with: `/events/stream` is no event."""
    return sorted(routes, key=lambda route: ("{" in route.path, -route.path.count("/")))
