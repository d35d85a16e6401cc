"""What does a machine need besides its assignment, because a person asked for it?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from model_manager.facts.model import Model, Requirements, Wanted

ASKED: Final = "person"
"""Who needs these models."""


def including(requirements: Requirements, models: Iterable[Model]) -> Requirements:
    """The requirements with these models, which never hold the gate. What the assignment needs at the same place comes first."""
    taken = {wanted.model.path.slot for wanted in requirements.wanted}
    more = {model.path.slot: model for model in models if model.path.slot not in taken}
    if not more:
        return requirements
    lines = "\n".join(f"{model.path} {model.pin} {[source.url for source in model.sources]}" for model in more.values())
    mark = hashlib.sha256(lines.encode("utf-8", "replace")).hexdigest()[:8]
    return replace(
        requirements,
        generation=f"{requirements.generation}+{mark}",
        wanted=(
            *requirements.wanted,
            *(Wanted(model=model, required=False, needed_by=(ASKED,)) for model in more.values()),
        ),
    )
