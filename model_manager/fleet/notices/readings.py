"""What is true for a rule right now, as far as the view knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from model_manager.bus.jobs import Jobs
from model_manager.decisions.alerting import chosen, low
from model_manager.errors import NoSuchJob
from model_manager.facts.job import Filed
from model_manager.facts.notice import Failing, Reading, Rule, Subject
from model_manager.fleet.view import View

JOBS: Final = 2_000
"""Pending jobs that one look goes through."""

EXPLAINED: Final = 50
"""Kinds of jobs, alike in what they ask, that one look has explained."""

Waits = Mapping[str, tuple[float, int]]
"""Model → since when the oldest job waits for it (seconds of the server's clock), and how many do."""


class Silence:
    """Seconds for which each machine was silent while somebody looked. Only who lived once can fall silent."""

    def __init__(self, known: Mapping[str, float]) -> None:
        self.seconds = dict(known)

    def passed(self, view: View, seconds: float, left: Iterable[str]) -> None:
        """So many seconds went by, in which Redis could be asked. Those that `left` said goodbye, and are not silent."""
        for machine_id in set(view.ids).difference(left):
            if view.state(machine_id) == "live":
                self.seconds[machine_id] = view.silent(machine_id) or 0.0
            elif machine_id in self.seconds:
                self.seconds[machine_id] += seconds
        for machine_id in left:
            self.seconds.pop(machine_id, None)


Group = tuple[tuple[str, ...], tuple[str, ...]]


class Held:
    """Which models a group of machines holds. Only what came and went since the last look is held against patterns."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._places: dict[str, tuple[object, frozenset[str]]] = {}
        self._looks: dict[Group, tuple[frozenset[str], set[str]]] = {}

    def fitting(self, rule: Rule) -> set[str]:
        """Those that fit the rule and that somebody of its group has, by `folder/name`. Not to be changed."""
        group = (rule.machines, rule.models)
        now = frozenset(self._view.rows()) if not rule.machines else self._of_group(rule.machines)
        before, fitting = self._looks.get(group, (frozenset[str](), set[str]()))
        came, went = now - before, before - now
        if came or went:
            fitting = (fitting - went) | {place for place in came if chosen(rule.models, place)}
        self._looks[group] = (now, fitting)
        return fitting

    def forget(self, but: Iterable[Rule]) -> None:
        """Groups of which no rule is left."""
        wanted = {(rule.machines, rule.models) for rule in but}
        self._looks = {group: look for group, look in self._looks.items() if group in wanted}

    def _of_group(self, machines: tuple[str, ...]) -> frozenset[str]:
        chosen_ones = (machine_id for machine_id in self._view.ids if chosen(machines, machine_id))
        return frozenset().union(*map(self._of, chosen_ones))

    def _of(self, machine_id: str) -> frozenset[str]:
        mirror = self._view.mirror(machine_id)
        if mirror is None:
            self._places.pop(machine_id, None)
            return frozenset()
        mark = (mirror.instance, mirror.epoch, mirror.seq, mirror.sum)
        known = self._places.get(machine_id)
        if known is None or known[0] != mark:
            found = frozenset(f"{copy.folder}/{copy.name}" for copy in mirror.entries.values())
            known = self._places[machine_id] = (mark, found)
        return known[1]


def disks(rule: Rule, view: View, known: Mapping[str, bool]) -> Reading:
    """Of machines that live; of others nobody knows how full theirs are."""
    holding, seen, unsure = {}, set(), set()
    for machine_id in view.ids:
        if not chosen(rule.machines, machine_id):
            continue
        heartbeat, live = view.heartbeat(machine_id), view.state(machine_id) == "live"
        for disk in heartbeat.disks if heartbeat else ():
            key = f"{machine_id} {disk.root}"
            seen.add(key)
            if not live:
                unsure.add(key)
            elif low(rule, disk, was=key in known):
                why = f"{disk.root} of {machine_id} has {disk.free / 1e9:.1f} of {disk.total / 1e9:.1f} GB free"
                holding[key] = Subject(key=key, machine_id=machine_id, why=why)
    return Reading(holding=holding, unsure=frozenset(unsure), gone=frozenset(known.keys() - seen))


def silent(rule: Rule, silence: Silence) -> Reading:
    holding = {
        machine_id: Subject(key=machine_id, machine_id=machine_id, why=f"{machine_id} for {_span(seconds)}")
        for machine_id, seconds in silence.seconds.items()
        if seconds > rule.seconds and chosen(rule.machines, machine_id)
    }
    return Reading(holding=holding)


def failed(rule: Rule, failing: Mapping[str, Failing], known: Mapping[str, bool]) -> Reading:
    """For good, or as often as the rule says. One that is told of stays so until it is made good."""
    holding = {}
    for key, each in failing.items():
        often = each.final or each.attempt >= rule.attempts or key in known
        if often and chosen(rule.machines, each.machine_id) and chosen(rule.models, each.model):
            why = f"{each.model} on {each.machine_id}: {each.reason}"
            holding[key] = Subject(key=key, machine_id=each.machine_id, model=each.model, why=why)
    return Reading(holding=holding)


async def waits(jobs: Jobs) -> Waits:
    """Models that nobody has, and for which jobs wait. Jobs that ask for the same are explained once. Raises BusUnavailable."""
    found: dict[str, tuple[float, int]] = {}
    lacking: dict[str, tuple[str, ...]] = {}
    async for filed in jobs.jobs("pending", at_most=JOBS):
        if filed.signature not in lacking and len(lacking) < EXPLAINED:
            lacking[filed.signature] = await _lacking(jobs, filed)
        for model in lacking.get(filed.signature, ()):
            since, count = found.get(model, (filed.submitted, 0))
            found[model] = (min(since, filed.submitted), count + 1)
    return found


async def _lacking(jobs: Jobs, filed: Filed) -> tuple[str, ...]:
    try:
        said = await jobs.explain(filed.id, limit=1)
    except NoSuchJob:
        return ()
    return tuple(each.model for each in said.models if not each.machines) if not said.eligible else ()


def waiting(rule: Rule, waits: Waits, now: float) -> Reading:
    """`now`: seconds since 1970."""
    holding = {}
    for model, (since, count) in waits.items():
        if now - since > rule.seconds and chosen(rule.models, model):
            why = f"{model}: {count} {'jobs wait' if count > 1 else 'job waits'}, the first for {_span(now - since)}"
            holding[model] = Subject(key=model, model=model, why=why)
    return Reading(holding=holding)


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
