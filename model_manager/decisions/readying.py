"""Is this machine ready for its work, and if not, why?"""

from __future__ import annotations

from collections.abc import Mapping

from model_manager.facts.machine import Readiness, WorkflowReadiness
from model_manager.facts.model import Requirements
from model_manager.facts.shelf import ShelfPath


def readiness(requirements: Requirements | None, lacking: Mapping[ShelfPath, str]) -> Readiness:
    """The gate. `lacking` names every wanted model that is not present and verified, with the reason.

    Unknown is never ready: no requirements, or incomplete ones, keep it closed. Optional models never hold it.
    """
    if requirements is None:
        return Readiness(ready=False, reasons=("the assignment has not been read yet",))
    required = [wanted.model.path for wanted in requirements.wanted if wanted.required]
    reasons = [f"{path}: {lacking[path]}" for path in required if path in lacking]
    reasons += [
        f"{problem.subject}: {problem.why}"
        for problem in requirements.problems
        if problem.blocks and not _optional_conflict(problem.subject, requirements)
    ]
    if not requirements.complete and not reasons:
        reasons.append("the catalog has not described the whole assignment yet")
    workflows = tuple(
        WorkflowReadiness(name=need.name, ready=not why, reasons=why)
        for need in requirements.workflows
        for why in [
            (
                *((need.unknown,) if need.unknown else ()),
                *(f"{path}: {lacking[path]}" for path in need.required if path in lacking),
            )
        ]
    )
    return Readiness(
        ready=not reasons,
        reasons=tuple(dict.fromkeys(reasons)),
        workflows=workflows,
        generation=requirements.generation,
        required=len(required),
        present=sum(path not in lacking for path in required),
    )


def _optional_conflict(subject: str, requirements: Requirements) -> bool:
    """Whether only optional needs meet this conflict: then it is reported and holds nothing."""
    needs = requirements.workflows
    wanted_by_none = not any(subject == str(path) for need in needs for path in need.required)
    return wanted_by_none and any(subject == str(path) for need in needs for path in need.optional)
