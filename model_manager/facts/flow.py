"""A workflow file that is an assignment."""

from __future__ import annotations

from dataclasses import dataclass

from model_manager.facts.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """`name` is what readiness is told under, `file` its absolute path. `workflow` is what was read of it last, None when it
    never could be read; `why` it cannot be read now, empty when it can."""

    name: str
    file: str
    workflow: Workflow | None = None
    why: str = ""
