"""What has to be done so that a workflow loads: values to write, bytes to link, models to fetch; a person is asked what is unclear."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import click

from model_manager.cli.workflow.check import said
from model_manager.decisions import sourcing
from model_manager.decisions.workflows.patching import Edit
from model_manager.errors import BadPath, printable
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Size
from model_manager.facts.resolution import Candidate, Resolved, Ruling
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.sourcing import Place

SHOWN: Final = 9
"""Choices that are offered."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A file about which something has to be decided, and the places where it could come from."""

    resolved: Resolved
    ruling: Ruling
    places: tuple[Place, ...] = ()

    @property
    def label(self) -> str:
        wish = self.ruling.wish
        return f"{wish.folder or '?'}/{wish.name}"


@dataclass(slots=True, kw_only=True)
class Work:
    """What was decided. `left` are files for which nothing can be done, each with the reason; `unclear` those that somebody has
    to decide, each with the choices."""

    edits: list[Edit] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    models: dict[ShelfPath, Model] = field(default_factory=dict)
    left: list[tuple[str, str]] = field(default_factory=list)
    unclear: list[tuple[str, list[str]]] = field(default_factory=list)


def decided(questions: Sequence[Open], *, writable: bool) -> Work:
    """Everything that is beyond doubt, and what a person at a terminal chooses. `writable`: the file can be written back to."""
    work = Work()
    for question in questions:
        ruling = question.ruling
        if ruling.state == "unproven":
            work.left.append((question.label, ruling.why))
        elif candidate := _candidate(question, work):
            _take(question, candidate, work, writable)
        elif not ruling.candidates or ruling.state == "other":
            _fetch(question, work)
    return work


def _candidate(question: Open, work: Work) -> Candidate | None:
    """The file that is meant: the only one, or the one that is chosen."""
    ruling = question.ruling
    sure = [each for each in ruling.candidates if each.by == "digest"]
    if ruling.state == "fixable" or sure:
        return sure[0] if sure else ruling.choice
    if not ruling.candidates or ruling.state == "other":
        return None
    if sourcing.chosen(question.places) and ruling.state == "proposed":
        _fetch(question, work)
        return None
    return _chosen(question.label, ruling.candidates, [said(each) for each in ruling.candidates], work)


def _take(question: Open, candidate: Candidate, work: Work, writable: bool) -> None:
    reference = question.resolved.reference
    if candidate.value is not None and writable and reference.spots and len(question.resolved.rulings) == 1:
        work.edits += [Edit(spot=spot, old=reference.text, new=candidate.value) for spot in reference.spots]
        work.said.append(f"write '{candidate.value}' for '{reference.text}' ({candidate.why})")
        return
    _link(question, candidate, work)


def _link(question: Open, candidate: Candidate, work: Work) -> None:
    """Its bytes get the name that the workflow has."""
    wish, known = question.ruling.wish, candidate.known
    if known.digests is None:
        work.left.append((question.label, f"{known.file} is not read yet: 'model-manager model index sync'"))
        return
    sha256, blake3 = known.digests.sha256, known.digests.blake3
    pin = Pin(algorithms=("sha256",), hex=sha256) if sha256 else Pin(algorithms=("blake3",), hex=blake3 or "")
    try:
        ending = (
            known.name[len(known.name.removesuffix("." + known.name.rpartition(".")[2])) :]
            if wish.kind == "stem"
            else ""
        )
        path = ShelfPath.parse(f"{wish.folder}/{wish.name}{ending}", (wish.name + ending).rpartition("/")[2])
    except BadPath as error:
        work.left.append((question.label, str(error)))
        return
    if question.ruling.state == "other":
        work.left.append(
            (question.label, f"{question.ruling.why}; the right bytes are {known.file}: move the wrong file away")
        )
        return
    work.models[path] = Model(name=path.name, path=path, sources=(), size=Size(bytes=known.size, exact=True), pin=pin)
    work.said.append(f"link {known.file} as {path}")


def _fetch(question: Open, work: Work) -> None:
    ruling, places = question.ruling, question.places
    if ruling.state == "other":
        work.left.append((question.label, f"{ruling.why}: move that file away, then resolve again"))
        return
    if not places:
        work.left.append((question.label, "it is not here, and nobody says where it could come from: try --online"))
        return
    first = sourcing.chosen(places) or _chosen(question.label, places, [offered(place) for place in places], work)
    if first is None:
        return
    try:
        model = sourcing.model(ruling.wish, [first, *(place for place in places if place != first)])
    except BadPath as error:
        work.left.append((question.label, str(error)))
        return
    work.models[model.path] = model
    work.said.append(f"fetch {model.path} from {first.url} ({first.why})")


def offered(place: Place) -> str:
    """One place in a list."""
    return printable(f"{place.url}  ({place.weight}: {place.why})", 1000)


def _chosen(label: str, choices: Sequence[T], shown: list[str], work: Work) -> T | None:
    """What a person at a terminal takes; elsewhere it stays unclear."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        work.unclear.append((label, shown))
        return None
    click.echo(f"{printable(label)}:", err=True)
    for number, line in enumerate(shown[:SHOWN], 1):
        click.echo(f"  {number}  {line}", err=True)
    taken: int = click.prompt("Which one (0 = none)", type=click.IntRange(0, min(SHOWN, len(shown))), err=True)
    return choices[taken - 1] if taken else None


def insist_clear(work: Work) -> None:
    """Raises click.UsageError with every candidate when something is left to choose and nobody could be asked."""
    if not work.unclear:
        return
    lines = ["several could be meant; run it in a terminal, or name the right one in the workflow:"]
    for label, shown in work.unclear:
        lines += [f"  {printable(label)}:", *(f"    {line}" for line in shown[:SHOWN])]
    raise click.UsageError("\n".join(lines))
