"""Which phase may follow which? One table; whoever wants another order changes it here."""

from __future__ import annotations

from typing import Final

from model_manager.facts.transfer import Phase

NEXT: Final[dict[Phase, frozenset[Phase]]] = {
    Phase.QUEUED: frozenset({Phase.RESOLVING, Phase.VERIFYING, Phase.PLACING, Phase.WAITING, Phase.FAILED}),
    Phase.RESOLVING: frozenset({Phase.FETCHING, Phase.VERIFYING, Phase.WAITING, Phase.FAILED}),
    Phase.FETCHING: frozenset({Phase.RESOLVING, Phase.VERIFYING, Phase.WAITING, Phase.FAILED}),
    Phase.VERIFYING: frozenset({Phase.PLACING, Phase.QUEUED, Phase.WAITING, Phase.FAILED, Phase.DONE}),
    Phase.PLACING: frozenset({Phase.DONE, Phase.WAITING, Phase.FAILED}),
    Phase.WAITING: frozenset({Phase.QUEUED, Phase.RESOLVING}),
    Phase.FAILED: frozenset({Phase.QUEUED, Phase.RESOLVING}),
    Phase.DONE: frozenset({Phase.QUEUED}),
}


def may(before: Phase, then: Phase) -> bool:
    """Whether a transfer may go on so. Staying in a phase is always allowed (progress)."""
    return before is then or then in NEXT[before]
