"""What taking an environment in would mean for this machine, before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from model_manager.facts.known import Known
from model_manager.facts.manifest import Importance, ManifestModel
from model_manager.facts.resolution import Ruling

Outcome = Literal["here", "linked", "read", "likely", "downloaded", "unknown"]
"""`here`: its bytes lie where they are wanted. `linked`: they lie elsewhere, and get their place without a download. `read`: a
file that may be it has to be read first. `likely`: a file of its name and size whose samples fit, and no full hash is known.
`downloaded`: it is fetched. `unknown`: nobody says where it could come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One model: what becomes of it, which file here is meant, and why."""

    model: ManifestModel
    outcome: Outcome
    why: str
    known: Known | None = None
    ruling: Ruling | None = None

    @property
    def importance(self) -> Importance:
        return self.model.importance


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """All models of an environment. `unresolved` are names of models of its workflows of which it knows no hash."""

    items: tuple[Item, ...] = ()
    unresolved: tuple[str, ...] = ()

    def of(self, *outcomes: Outcome) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.outcome in outcomes)

    @property
    def bytes(self) -> int:
        """What is downloaded, as far as sizes are known."""
        return sum(item.model.size or 0 for item in self.of("downloaded"))

    @property
    def unsized(self) -> int:
        """Downloads whose size nobody says."""
        return sum(item.model.size is None for item in self.of("downloaded"))

    @property
    def complete(self) -> bool:
        """Whether every required model can be had."""
        return not any(item.importance == "required" for item in self.of("unknown"))
