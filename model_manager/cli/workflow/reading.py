"""One workflow file, read: what it says, and whether it can be written back to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model_manager.facts.loaders import Live
from model_manager.facts.workflow import Workflow
from model_manager.library.carried.embedded import Embedded, embedded


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """`data` are the bytes of a JSON file, None for a picture, film or sound, which nobody writes back to."""

    path: Path
    workflow: Workflow
    carried: Embedded
    data: bytes | None = None

    @property
    def json(self) -> bytes:
        """The workflow by itself: the drawn one, which a person can go on with, before the prompt."""
        return self.carried.document or self.carried.workflow or self.carried.prompt or b""


def sheet(path: Path, live: Live | None = None) -> Sheet:
    """`live`: what a running ComfyUI says of its nodes. Raises BadWorkflow, DiskUnavailable."""
    carried = embedded(path)
    return Sheet(path=path, workflow=workflow_of(carried, path.name, live), carried=carried, data=carried.document)


def workflow_of(carried: Embedded, name: str, live: Live | None = None) -> Workflow:
    """What it says; of two texts, what ran and what was drawn, both together. Raises BadWorkflow."""
    from model_manager.decisions.workflows.referring import carried as said

    return said(name, carried.document, carried.prompt, carried.workflow, live)
