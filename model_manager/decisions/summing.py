"""How far are many models together, and how long will the rest take?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from model_manager.facts.plan import Check, Fetch, Keep, Link, Refuse, Step
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Phase, Total, Transfer

Standing = Literal["present", "moving", "queued", "waiting", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What one model adds. `size` is None while nobody knows it; `left` bytes of it will cross the network."""

    standing: Standing
    size: int | None
    here: int = 0
    left: int = 0


def total(steps: Iterable[Step], transfers: Mapping[ShelfPath, Transfer], speed: float) -> Total:
    """The sum over these steps. `speed`: bytes/s of everything that moves.

    A model that failed is not counted on: the time that is left is that of the others.
    """
    shares = [_share(step, transfers) for step in steps]
    standings = [share.standing for share in shares]
    left = sum(share.left for share in shares)
    return Total(
        models=len(shares),
        present=standings.count("present"),
        moving=standings.count("moving"),
        queued=standings.count("queued"),
        waiting=standings.count("waiting"),
        failed=standings.count("failed"),
        bytes=sum(share.here for share in shares),
        total=sum(share.size or 0 for share in shares),
        unknown=sum(share.size is None and share.standing != "failed" for share in shares),
        left=left,
        speed=speed,
        eta=left / speed if left and speed > 0 else None,
    )


def _share(step: Step, transfers: Mapping[ShelfPath, Transfer]) -> _Share:
    match step:
        case Keep(held=held):
            return _Share(standing="present", size=held.fingerprint.size, here=held.fingerprint.size)
        case Check(held=held):
            return _Share(standing="moving", size=held.fingerprint.size, here=held.fingerprint.size)
        case Link(held=held):
            standing = _standing(transfers.get(step.wanted.model.path))
            return _Share(standing=standing, size=held.fingerprint.size, here=held.fingerprint.size)
        case Refuse(wanted=wanted):
            return _Share(standing="failed", size=wanted.model.size.bytes if wanted.model.size else None)
        case Fetch():
            return _fetched(step, transfers)


def _fetched(step: Fetch, transfers: Mapping[ShelfPath, Transfer]) -> _Share:
    """What waits for another model's bytes is as far as that one, and costs the network nothing."""
    transfer = transfers.get(step.after or step.wanted.model.path)
    hint = step.wanted.model.size
    size = (transfer and transfer.total) or step.bytes or (hint.bytes if hint else None)
    here = _here(transfer)
    if size is not None:
        size = max(size, here)
    standing = _standing(transfers.get(step.wanted.model.path))
    counted_on = step.after is None and standing != "failed"
    return _Share(
        standing=standing, size=size, here=here if size else 0, left=(size or here) - here if counted_on else 0
    )


def _here(transfer: Transfer | None) -> int:
    """Bytes of it on this disk: all of them once it is only read back."""
    if transfer is None:
        return 0
    read_back = transfer.phase in (Phase.VERIFYING, Phase.PLACING, Phase.DONE)
    return transfer.total or transfer.bytes if read_back else transfer.bytes


def _standing(transfer: Transfer | None) -> Standing:
    match transfer.phase if transfer else Phase.QUEUED:
        case Phase.QUEUED:
            return "queued"
        case Phase.WAITING:
            return "waiting"
        case Phase.FAILED:
            return "failed"
        case _:
            return "moving"
