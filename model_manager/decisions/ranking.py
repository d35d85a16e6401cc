"""Where do we try first?"""

from __future__ import annotations

from collections.abc import Mapping

from model_manager.facts.model import Source


def ranked(sources: tuple[Source, ...], blamed: Mapping[str, int]) -> tuple[Source, ...]:
    """The catalog's order, with addresses that failed (`blamed`: URL → how often) behind those that did not."""
    return tuple(sorted(sources, key=lambda source: blamed.get(source.url, 0)))
