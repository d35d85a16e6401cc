"""Models by machines: how each stands on each, in letters, a window at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Final

from model_manager.errors import StoreUnavailable
from model_manager.facts.fleet import Liveness
from model_manager.facts.mirror import Copy
from model_manager.fleet.answers import Choose
from model_manager.fleet.matrix import shapes
from model_manager.fleet.matrix.pivoting import Line, Pivots
from model_manager.fleet.models.finding import Finding
from model_manager.fleet.models.sorting import Chosen
from model_manager.fleet.rows import download, downloads
from model_manager.fleet.shapes import ModelRow
from model_manager.fleet.view import View
from model_manager.serving.asking import Asked
from model_manager.serving.paging import page

PHASES: Final[Mapping[str, str]] = {
    "queued": "q",
    "waiting": "q",
    "resolving": "q",
    "fetching": "d",
    "verifying": "v",
    "placing": "v",
    "failed": "f",
}
"""Phase of a download → its letter."""

BEST: Final = "Rum"
"""Which copy of several says how a machine stands."""

Columns = Mapping[str, Liveness]
Held = Sequence[tuple[Copy, AbstractSet[str]]]
BaseOf = Callable[[ModelRow], str]
Refresh = Callable[[], Awaitable[None]]
ToldOf = Callable[[ModelRow], ModelRow]


class Board:
    """Every method takes the parameters of its route. `base_of`: the base model of a row, empty while nobody told it,
    as of the last `refresh`."""

    def __init__(
        self,
        view: View,
        finding: Finding,
        pivots: Pivots,
        base_of: BaseOf,
        refresh: Refresh,
        choose: Choose | None = None,
        told: ToldOf = lambda row: row,
    ) -> None:
        """`choose`: models with the filters and orders that need more than the view, best ones first; `told` puts beside a row what
        people told of it."""
        self._choose = choose or self._named
        self._told = told
        self._view = view
        self._finding = finding
        self._pivots = pivots
        self._base_of = base_of
        self._refresh = refresh

    async def search(self, asked: Asked) -> shapes.Found:
        found = (await self._choose(asked)).places
        rows, begin = self._view.rows(), asked["offset"]
        items = tuple(self._told(rows[place]) for place in found[begin : begin + asked["limit"]])
        return shapes.Found(items=items, total=len(found), offset=begin)

    async def _named(self, asked: Asked) -> Chosen:
        """By what the view alone knows."""
        return Chosen(self._finding.places(asked["q"] or "", asked["folder"], asked["single"], best=True))

    async def matrix(self, asked: Asked) -> shapes.Matrix:
        view, across = self._view, asked["moffset"]
        with suppress(StoreUnavailable):  # what people told is missing then, and all that machines tell is there
            await self._refresh()
        machines = view.ids
        columns = {each: view.state(each) for each in machines[across : across + asked["mlimit"]]}
        at = {machine_id: number for number, machine_id in enumerate(columns)}
        places = self._finding.places(asked["q"] or "", asked["folder"], asked["single"])
        window = await self._pivots.window(places, asked, self._base_of)
        return shapes.Matrix(
            columns=tuple(shapes.Column(machine_id=each, state=state) for each, state in columns.items()),
            machines=len(machines),
            moffset=across,
            rows=tuple(self._row(line, columns, at) for line in window.lines),
            total=window.total,
            offset=asked["offset"],
            groups=window.groups,
        )

    def _row(self, line: Line, columns: Columns, at: Mapping[str, int]) -> shapes.MatrixRow:
        known = self._view.rows().get(line.place)
        folder, _, name = line.place.partition("/")
        held = [(copy, who) for copy, who in self._view.mirrors.holders(line.place) if copy.folder == folder]
        right = line.hash or usual(held)
        letters = self._held(held, right, columns)
        moving = self._moving(line.place, letters, columns)
        letters |= {machine_id: "s" for machine_id in letters if columns[machine_id] != "live"}
        return shapes.MatrixRow(
            model=line.place,
            folder=folder,
            name=name,
            key=line.key,
            size=known.size if known else line.size or 0,
            machines=known.machines if known else 0,
            copies=known.copies if known else 0,
            single=known is not None and known.machines == 1,
            base=self._base_of(known) if known else "",
            cells=_cells(letters, at),
            moving=moving,
        )

    def _held(self, held: Held, right: str | None, columns: Columns) -> dict[str, str]:
        """Machine → the best letter of its copies."""
        letters: dict[str, str] = {}
        for copy, who in held:
            letter = letter_of(copy, right)
            for machine_id in columns.keys() & who:
                known = letters.get(machine_id)
                letters[machine_id] = letter if known is None or BEST.index(letter) < BEST.index(known) else known
        return letters

    def _moving(self, place: str, letters: dict[str, str], columns: Columns) -> dict[str, float]:
        """Puts downloads over what is held, and says how far they are."""
        parts: dict[str, float] = {}
        for machine_id in columns.keys() & self._view.busy:
            body = self._view.moving(machine_id).get(place)
            if not isinstance(body, Mapping) or not (letter := PHASES.get(str(body.get("phase")), "")):
                continue
            if letter != "f" or machine_id not in letters:
                letters[machine_id] = letter
            if letter == "d":
                parts[machine_id] = part_of(body)
        return parts

    async def downloads(self, asked: Asked) -> shapes.MovingPage:
        found = {
            f"{machine_id}\0{model}": (machine_id, model, body)
            for machine_id in self._view.ids
            if asked["machine_id"] in (None, machine_id)
            for model, body in downloads(self._view, machine_id).items()
            if asked["phase"] in (None, body.get("phase"))
        }
        shown = page(sorted(found), asked["cursor"], asked["limit"], lambda key: _on_board(*found[key]))
        return shapes.MovingPage(items=shown.items, next=shown.next, total=shown.total)


def _cells(letters: Mapping[str, str], at: Mapping[str, int]) -> str:
    """Few machines have a model, and a matrix is wide."""
    cells = bytearray(b"-") * len(at)
    for machine_id, letter in letters.items():
        cells[at[machine_id]] = ord(letter)
    return cells.decode("ascii")


def letter_of(copy: Copy, right: str | None) -> str:
    """Of one copy. `right`: the hash that a model should have, empty when nobody can tell; None: several are as usual, so that
    none is right."""
    if copy.hash and (right is None or (right and copy.hash != right)):
        return "m"
    return "R" if copy.verified else "u"


def usual(held: Held) -> str | None:
    """The hash that most machines have; empty without any, None when several have as many."""
    if len(held) == 1:
        return held[0][0].hash
    counts: Counter[str] = Counter()
    for copy, who in held:
        if copy.hash:
            counts[copy.hash] += len(who)
    most = counts.most_common(2)
    if not most:
        return ""
    return None if len(most) == 2 and most[0][1] == most[1][1] else most[0][0]


def part_of(body: Mapping[str, Any]) -> float:
    """Of a download, 0 to 1; 0 while its size is unknown."""
    told = download("", body)
    return round(min(1.0, told.bytes / told.total), 3) if told.total else 0.0


def _on_board(machine_id: str, model: str, body: Mapping[str, Any]) -> shapes.Moving:
    told = download(model, body)
    return shapes.Moving(
        machine_id=machine_id,
        model=told.model,
        phase=told.phase,
        bytes=told.bytes,
        total=told.total,
        speed=told.speed,
        eta=told.eta,
        attempt=told.attempt,
        why=told.why,
        retry_at=told.retry_at,
    )
