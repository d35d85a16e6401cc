"""What people want to hear of, and what they were told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

RuleKind = Literal[
    "model.appeared", "model.vanished", "download.failed", "disk.low", "machine.silent", "job.waiting"
]  # fmt: skip
KINDS: Final[tuple[RuleKind, ...]] = (
    "model.appeared", "model.vanished", "download.failed", "disk.low", "machine.silent", "job.waiting",
)  # fmt: skip

MODELS: Final = frozenset({"model.appeared", "model.vanished"})
"""Kinds that compare what a group of machines holds with what it held."""

Edge = Literal["begin", "end", "test", "gap"]
"""It began, or is over; somebody tried the rule out; events were trimmed before they were looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is to be told, of which models and machines, and where.

    `models` are patterns of `folder/name`, `machines` of machine ids (`*`, `?`, `[…]`); none means all. Machines of one rule
    are a group: a model appears when the first of them has it, and vanishes when the last of them lost it. `below_bytes`,
    `below_percent`: of a disk's free room, 0 = not asked. `seconds` of silence or of waiting. `attempts` after which a
    download that is tried again counts as failed. `url`: of a webhook, "" for none. `gather`: seconds for which a burst is
    gathered into one notice; `cooldown`: seconds between two notices of the rule.
    """

    id: str
    name: str
    kind: RuleKind
    models: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    below_bytes: int = 0
    below_percent: float = 0.0
    seconds: float = 300.0
    attempts: int = 3
    url: str = ""
    enabled: bool = True
    gather: float = 5.0
    cooldown: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom or what a notice is about. `key` is its identity within the rule; `why` a sentence for people, perhaps empty."""

    key: str
    machine_id: str = ""
    model: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is true now: `holding`, by key. Of `unsure` nobody knows at present; `gone` are of no concern any more."""

    holding: dict[str, Subject]
    unsure: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What became of a rule: subjects for which it `began` and is over (`ended`), and `kept`: key → what to remember of it,
    None to forget it."""

    began: tuple[Subject, ...] = ()
    ended: tuple[Subject, ...] = ()
    kept: dict[str, bool | None]

    @property
    def telling(self) -> bool:
        """Whether somebody is to hear of it."""
        return bool(self.began or self.ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """A download that broke off: for good (`final`), or to be tried again after `attempt`."""

    machine_id: str
    model: str
    attempt: int
    final: bool
    reason: str
