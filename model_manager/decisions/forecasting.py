"""What would it take until this machine can serve this workflow?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from model_manager.facts.fleet import How, Missing, Needed, Takes
from model_manager.facts.identity import Digests, Pin
from model_manager.facts.mirror import Copy
from model_manager.facts.model import Model, Requirements, WorkflowNeed
from model_manager.facts.shelf import ShelfPath

Slot = tuple[str, str]


def needed_by(need: WorkflowNeed, requirements: Requirements) -> tuple[Needed, ...]:
    """The models that a workflow requires, as the catalog describes them."""
    models = {wanted.model.path: wanted.model for wanted in requirements.wanted}
    return tuple(_needed(path, models.get(path)) for path in need.required)


def _needed(path: ShelfPath, model: Model | None) -> Needed:
    if model is None:
        return Needed(path=path)
    return Needed(path=path, size=model.size.bytes if model.size else None, pin=model.pin)


def takes(
    needed: Sequence[Needed], held: Mapping[Slot, Sequence[Copy]], digests: Collection[str], room: int | None
) -> Takes:
    """`held`: what the machine has in the places of what is needed, by slot; `digests`: SHA-256 of verified files that it
    has anywhere, those that matter at least; `room`: bytes that it could take above its floor, None when nobody knows."""
    missing = tuple(found for each in needed if (found := _missing(each, held, digests)))
    fetched = [each.size for each in missing if each.how == "fetch"]
    total = sum(size for size in fetched if size is not None)
    fits = True if not fetched else (None if room is None or None in fetched else total <= room)
    return Takes(missing=missing, bytes=total, unknown=fetched.count(None), fits=fits)


def _missing(needed: Needed, slots: Mapping[Slot, Sequence[Copy]], digests: Collection[str]) -> Missing | None:
    how: How = "fetch"
    for entry in slots.get(needed.path.slot, ()):
        agrees = _agrees(needed.pin, entry)
        if entry.verified and agrees is not False:
            return None
        if not entry.verified and agrees is not False:
            how = "verify"
    if how == "fetch" and needed.pin is not None and needed.pin.hex in digests:
        how = "link"
    return Missing(folder=needed.path.folder, name=needed.path.name, size=needed.size, how=how)


def _agrees(pin: Pin | None, entry: Copy) -> bool | None:
    """None when nobody can tell: then the machine's own judgement counts."""
    return pin.agrees(Digests(sha256=entry.hash)) if pin and entry.hash else None
