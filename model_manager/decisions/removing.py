"""May this file be removed because somebody far away asks for it?"""

from __future__ import annotations

from collections.abc import Mapping

from model_manager.facts.disk import Held
from model_manager.facts.model import Requirements, Wanted

Slot = tuple[str, str]


def wanted_at(requirements: Requirements | None) -> Mapping[Slot, Wanted]:
    """By the place in ComfyUI; models without any are nobody's."""
    return {wanted.model.path.slot: wanted for wanted in requirements.wanted} if requirements else {}


def refusal(held: Held, store: str, requirements: Requirements | None, wanted: Wanted | None, *, force: bool) -> str:
    """Why it stays; empty when it may go. `wanted`: what is needed at its place."""
    if held.root != store:
        return f"it lies in {held.root}, which is only read; remove it there"
    if force:
        return ""
    if requirements is None or not requirements.complete:
        return "what is required here is not known yet; ask again later, or force it"
    if wanted is not None and wanted.required:
        needed = ", ".join(wanted.needed_by[:3])
        return f"it is required by {needed}; take it from the assignment first, or force it"
    return ""
