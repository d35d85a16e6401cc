"""Is this machine still there?"""

from __future__ import annotations

from model_manager.facts.fleet import Liveness


def liveness(*, leased: bool | None, silent: float, patience: float, gone: bool) -> Liveness:
    """`leased`: whether the server holds a lease of the machine, None while nobody can ask; `silent`: seconds since its
    last beat by the asker's own clock (a machine's clock may be wrong); `gone`: it said goodbye.

    While nobody can ask, a silent machine is stale and never away: unknown is not gone.
    """
    if leased is None:
        return "stale" if silent > patience else "live"
    if gone or not leased:
        return "away"
    return "stale" if silent > patience else "live"
