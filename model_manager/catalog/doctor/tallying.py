"""What a check-up comes to, counted while it goes."""

from __future__ import annotations

from collections import Counter

from model_manager.catalog.doctor.doctoring import Examined
from model_manager.catalog.doctor.reports import KEPT, Noted, Tally


class Tallying:
    """What was found so far, and how much of it is kept already."""

    def __init__(self) -> None:
        self.kept = 0
        self._examined = self._wrong = self._mendable = self._mended = 0
        self._kinds: Counter[str] = Counter()
        self._noted: list[Noted] = []

    def looked(self, records: int) -> None:
        self._examined += records

    def add(self, examined: Examined, *, mended: bool) -> None:
        self._wrong += 1
        self._mendable += examined.mended is not None
        self._mended += mended
        self._kinds.update(each.kind for each in examined.ailments)
        room = max(0, KEPT - self.kept - len(self._noted))
        self._noted += _noted(examined, mended=mended)[:room]

    def tally(self) -> Tally:
        return Tally(
            examined=self._examined, wrong=self._wrong, mendable=self._mendable, mended=self._mended,
            kinds=dict(self._kinds), noted=tuple(self._noted),
        )  # fmt: skip

    def note(self, tally: Tally) -> None:
        """What this tally held is kept now."""
        self.kept += len(tally.noted)
        del self._noted[: len(tally.noted)]


def _noted(examined: Examined, *, mended: bool) -> list[Noted]:
    return [
        Noted(
            kind=each.kind, record=examined.kind, id=examined.stored.id, name=each.name, what=each.what, fix=each.fix,
            url=each.url, token=each.token, mended=mended and bool(each.fix),
        )
        for each in examined.ailments
    ]  # fmt: skip
