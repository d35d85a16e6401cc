"""Whom does a rule concern, what began or is over since it was last told, and when is it told?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from fnmatch import fnmatchcase
from typing import Final

from model_manager.facts.event import DownloadFailed, DownloadVerified, Envelope, MachineBye, ModelAppeared
from model_manager.facts.machine import Disk
from model_manager.facts.notice import Edge, Failing, Reading, Rule, Subject, Turn

EASED: Final = 1.1
"""A disk is no longer low when it has so many times the room of the rule: one at the limit is not told of again and again."""

NAMED: Final = 3
"""Subjects that a sentence names."""


def chosen(patterns: Iterable[str], text: str) -> bool:
    """Whether one of the patterns fits; without any, everything does."""
    return not (patterns := tuple(patterns)) or any(fnmatchcase(text, pattern) for pattern in patterns)


def low(rule: Rule, disk: Disk, *, was: bool) -> bool:
    """Whether a disk is low by this rule; `was`: it was told of as low."""
    limit = max(float(rule.below_bytes), rule.below_percent / 100 * disk.total)
    return disk.free < limit * (EASED if was else 1.0)


def failing(known: Mapping[str, Failing], told: Iterable[Envelope]) -> dict[str, Failing]:
    """Downloads that broke off and were not made good since, after these events: `machine folder/name` → how."""
    found = dict(known)
    for envelope in told:
        if envelope.kind not in _CONCERNING or (envelope.kind == "model.appeared" and not found):
            continue
        machine, event = envelope.machine_id, envelope.event
        match event:
            case DownloadFailed():
                model = f"{event.folder}/{event.name}"
                found[f"{machine} {model}"] = Failing(
                    machine_id=machine, model=model, attempt=event.attempt, final=event.final, reason=event.reason
                )
            case DownloadVerified():
                found.pop(f"{machine} {event.folder}/{event.name}", None)
            case ModelAppeared():
                for entry in event.models:
                    found.pop(f"{machine} {entry.folder}/{entry.name}", None)
            case MachineBye():
                found = {key: each for key, each in found.items() if each.machine_id != machine}
            case _:
                continue
    return found


_CONCERNING = frozenset({"model.download.failed", "model.download.verified", "model.appeared", "machine.bye"})
"""Kinds that tell of downloads that broke off: of thousands of other events nobody makes records."""


def shelved(rule: Rule, known: Mapping[str, bool], here: AbstractSet[str], *, based: bool) -> Turn:
    """What came or went since `known` was remembered: models that were here (True), or were told of as vanished (False).
    `based`: False for a rule that was just made: what is there then is nothing new."""
    new, away = here - known.keys(), known.keys() - here
    if rule.kind == "model.appeared":
        kept: dict[str, bool | None] = {**dict.fromkeys(new, True), **dict.fromkeys(away)}
        return Turn(began=_models(new) if based else (), kept=kept)
    lost = {model for model in away if known[model]}
    back = {model for model, was in known.items() if not was} & here
    return Turn(
        began=_models(lost), ended=_models(back), kept={**dict.fromkeys(new | back, True), **dict.fromkeys(lost, False)}
    )


def _models(found: Iterable[str]) -> tuple[Subject, ...]:
    return tuple(Subject(key=model, model=model) for model in sorted(found))


def standing(rule: Rule, known: Mapping[str, bool], now: Reading) -> Turn:
    """What began and what is over since `known` was remembered."""
    new = {key: each for key, each in now.holding.items() if key not in known}
    over = [key for key in known if key not in now.holding and key not in now.unsure]
    ended = {key: _subject(rule, key) for key in over if key not in now.gone}
    return Turn(began=_sorted(new), ended=_sorted(ended), kept={**dict.fromkeys(new, True), **dict.fromkeys(over)})


def _subject(rule: Rule, key: str) -> Subject:
    """Of what is over only its key is remembered."""
    machine, _, rest = key.partition(" ")
    match rule.kind:
        case "job.waiting":
            return Subject(key=key, model=key)
        case "download.failed":
            return Subject(key=key, machine_id=machine, model=rest, why=f"{rest} on {machine}")
        case "disk.low":
            return Subject(key=key, machine_id=machine, why=f"{rest} of {machine}")
        case _:
            return Subject(key=key, machine_id=machine)


def _sorted(found: Mapping[str, Subject]) -> tuple[Subject, ...]:
    return tuple(found[key] for key in sorted(found))


def due(rule: Rule, *, since: float, told: float | None, now: float) -> bool:
    """Whether a change that was first seen at `since` is told now: a burst is gathered, and notices of a rule keep apart."""
    quiet = told is not None and told <= now < told + rule.cooldown
    return now - since >= rule.gather and not quiet


def worded(rule: Rule, edge: Edge, subjects: tuple[Subject, ...]) -> str:
    """A sentence for people."""
    if edge == "test":
        return f"This is a test of the rule '{rule.name}'. Nothing happened."
    if edge == "gap":
        return "Events were trimmed before they were looked at: downloads that failed meanwhile may be missing here."
    names = [each.why or each.model or each.key for each in subjects[:NAMED]]
    more = f", and {len(subjects) - NAMED} more" if len(subjects) > NAMED else ""
    return f"{_HEADS[rule.kind, edge]}: {'; '.join(names)}{more}"


_HEADS: Final = {
    ("model.appeared", "begin"): "appeared",
    ("model.vanished", "begin"): "nobody has it any more",
    ("model.vanished", "end"): "back",
    ("download.failed", "begin"): "download failed",
    ("download.failed", "end"): "made good, or no longer tried",
    ("disk.low", "begin"): "disk low",
    ("disk.low", "end"): "room again",
    ("machine.silent", "begin"): "silent",
    ("machine.silent", "end"): "heard again, or said goodbye",
    ("job.waiting", "begin"): "jobs wait for a model",
    ("job.waiting", "end"): "no job waits for it any more",
}


def pause(attempts: int, chance: float, asked: float | None) -> float:
    """Seconds until a delivery that failed `attempts` times is tried again. `chance` is 0 to 1; `asked`: what the receiver
    asked for."""
    usual = min(LONGEST, FIRST * 2.0 ** min(attempts - 1, 20)) * (0.75 + 0.5 * chance)
    return usual if asked is None else max(usual, min(asked, LONGEST))


FIRST: Final = 5.0
LONGEST: Final = 3600.0
"""Seconds between two attempts at a delivery, at first and at most."""
