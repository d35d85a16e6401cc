"""What the routes of notifications answer. Times are ISO 8601 UTC, empty when there is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from model_manager.facts.notice import Edge, RuleKind
from model_manager.fleet.notices.ledger import Kept, Noted, State


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """A rule. `target` is scheme and host of its webhook, empty for none: the whole address may be a secret, and so is never
    answered. `version` grows with each change."""

    id: str
    name: str
    kind: RuleKind
    models: tuple[str, ...]
    machines: tuple[str, ...]
    below_bytes: int
    below_percent: float
    seconds: float
    attempts: int
    target: str
    enabled: bool
    gather: float
    cooldown: float
    made: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePage:
    """All of them, by name."""

    items: tuple[RuleRow, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMade:
    """`secret` verifies what the webhook gets. It is told here and never again."""

    rule: RuleRow
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRemoved:
    """What is gone."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """On its way to the webhook: `none` has none, `waiting` is tried (again) at `due`, `dead` is not tried any more and says
    `why`. `status` of the last answer, null without one."""

    state: State
    attempts: int
    due: str
    status: int | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What was told. `subjects` are the first 50 of `count`, each with `key`, `machine_id`, `model` and `why`."""

    id: int
    rule: str
    name: str
    kind: RuleKind
    edge: Edge
    at: str
    text: str
    count: int
    subjects: tuple[dict[str, str], ...]
    delivery: DeliveryRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """Oldest first. `next` goes on with `after`, `before` goes back with `before`; null without any."""

    items: tuple[Notice, ...]
    next: int | None
    before: int | None


def rule_row(kept: Kept) -> RuleRow:
    rule = kept.rule
    return RuleRow(
        id=rule.id,
        name=rule.name,
        kind=rule.kind,
        models=rule.models,
        machines=rule.machines,
        below_bytes=rule.below_bytes,
        below_percent=rule.below_percent,
        seconds=rule.seconds,
        attempts=rule.attempts,
        target=_target(rule.url),
        enabled=rule.enabled,
        gather=rule.gather,
        cooldown=rule.cooldown,
        made=kept.made,
        version=kept.version,
    )


def notice(noted: Noted) -> Notice:
    delivery, body = noted.delivery, noted.body
    due = datetime.fromtimestamp(delivery.due, UTC).isoformat(timespec="seconds") if delivery.state == "waiting" else ""
    return Notice(
        id=noted.id,
        rule=noted.rule,
        name=body["name"],
        kind=_kind(noted.kind),
        edge=noted.edge,
        at=noted.at,
        text=body["text"],
        count=body["count"],
        subjects=tuple(body["subjects"]),
        delivery=DeliveryRow(
            state=delivery.state, attempts=delivery.attempts, due=due, status=delivery.status, why=delivery.why
        ),
    )


def _kind(text: Any) -> RuleKind:
    kind: RuleKind = text
    return kind


def _target(url: str) -> str:
    if not url:
        return ""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
