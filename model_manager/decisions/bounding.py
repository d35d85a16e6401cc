"""How many bytes may come where the origin does not say how many?"""

from __future__ import annotations

from typing import Final

from model_manager.facts.model import Model

UNANNOUNCED: Final = 100_000_000_000
"""Bytes that a file of unknown length may have where the catalog says no size: more is an endless answer."""

SLACK: Final = 16 * 1024 * 1024
"""Bytes, besides a quarter, by which a file may outgrow a length that is only roughly known."""


def most(model: Model) -> int:
    """Bytes of an answer that does not say its length. A pin outranks the catalog's length, which is often wrong."""
    if model.size is None:
        return UNANNOUNCED
    exact = model.size.exact and not (model.pin and model.pin.strong)
    return model.size.bytes + (0 if exact else model.size.bytes // 4 + SLACK)
