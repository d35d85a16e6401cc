"""The routes of the matrix, the search, the downloads, and of what is dropped on a page."""

from __future__ import annotations

from typing import Final

from model_manager.fleet.dropping import Dropping
from model_manager.fleet.handling import Ask, reading
from model_manager.fleet.matrix import shapes
from model_manager.fleet.matrix.board import PHASES, Board
from model_manager.fleet.matrix.pivoting import PIVOTS
from model_manager.fleet.models.filtering import FILTERS
from model_manager.fleet.models.sorting import SORTED
from model_manager.fleet.parameters import ONE_MACHINE, jumping, paged
from model_manager.fleet.remembering import Remembering
from model_manager.serving.answering import Handler
from model_manager.serving.asking import Param
from model_manager.serving.routing import Route

_CHOSEN: Final = (
    Param(name="q", help="Words, all of which occur in folder and name, in any case."),
    Param(name="folder", help="Only this folder, such as `loras`."),
    Param(name="single", help="Only models that one machine has, or that several have.", kind="flag"),
)

READING: Final = (
    Route(
        method="GET", path="/search", name="search", summary="Models by words, best first, while somebody types.",
        answer=shapes.Found, params=jumping(*_CHOSEN, *FILTERS, *SORTED, what="models"), refusals=(409, 503),
    ),
    Route(
        method="GET", path="/matrix", name="matrix", summary="How models stand on machines, a window of it.",
        answer=shapes.Matrix,
        params=jumping(
            *jumping(
                *_CHOSEN,
                Param(name="pivot", help="What rows are grouped by.", choices=PIVOTS),
                Param(name="key", help="Only this group of the pivot.", least=0),
                what="models",
            ),
            prefix="m", what="machines",
        ),
    ),
    Route(
        method="GET", path="/downloads", name="downloads", summary="The downloads of all machines.",
        answer=shapes.MovingPage,
        params=paged(ONE_MACHINE, Param(name="phase", help="Only those in this phase.", choices=(*PHASES, "done"))),
    ),
)  # fmt: skip

DROPPING: Final = (
    Route(
        method="POST", path="/workflows/analyze", name="analyze", answer=shapes.Dropped, takes="DroppedFile", secured=False,
        media=("application/octet-stream",), refusals=(408, 413, 422),
        summary="What the workflow in a file needs, and which machines have it. Nothing is kept; no token is needed.",
    ),
)  # fmt: skip

ROUTES: Final = (*READING, *DROPPING)


def handlers(board: Board, dropping: Dropping, remembering: Remembering | None = None) -> dict[str, Handler]:
    """By the names of the routes."""
    asks: dict[str, Ask] = {"search": board.search, "matrix": board.matrix, "downloads": board.downloads}
    return {route.name: reading(route, asks[route.name], remembering) for route in READING} | {
        "analyze": dropping.analyze
    }
