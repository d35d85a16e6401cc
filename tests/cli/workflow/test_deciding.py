from __future__ import annotations

from dataclasses import replace

import click
import pytest

from model_manager.cli.workflow import deciding
from model_manager.cli.workflow.deciding import Open, Work, decided, insist_clear
from model_manager.facts.identity import Digests
from model_manager.facts.resolution import Candidate, Resolved, Ruling, State, Strategy, Wish
from model_manager.facts.sourcing import Place
from model_manager.facts.workflow import Spot
from tests.facts.test_resolution import FILE, REFERENCE

WISH = Wish(name="a.pt", folders=("vae",))
READ = replace(FILE, digests=Digests(sha256="a" * 64))
TOLD = Place(url="https://x.example/a.pt", teller="workflow", weight="told", why="it says so")
GUESS = replace(TOLD, weight="guess", url="https://y.example/a.pt")


def question(state: State, *candidates: Candidate, places: tuple[Place, ...] = ()) -> Open:
    ruling = Ruling(wish=WISH, state=state, why="because", candidates=candidates)
    reference = replace(REFERENCE, text="A.pt", spots=(Spot(keys=("x",)), Spot(keys=("y",))))
    return Open(resolved=Resolved(reference=reference, rulings=(ruling,)), ruling=ruling, places=places)


def candidate(by: Strategy = "name", value: str | None = "b.pt") -> Candidate:
    return Candidate(known=READ, by=by, value=value, why="it is")


def test_one_value_is_written_at_all_its_spots() -> None:
    work = decided([question("fixable", candidate())], writable=True)
    assert [(edit.spot.keys, edit.old, edit.new) for edit in work.edits] == [
        (("x",), "A.pt", "b.pt"),
        (("y",), "A.pt", "b.pt"),
    ]


def test_what_cannot_be_written_gets_the_name_that_is_there() -> None:
    for work in (
        decided([question("fixable", candidate())], writable=False),
        decided([question("fixable", candidate(value=None))], writable=True),
    ):
        (model,) = work.models.values()
        assert (work.edits, str(model.path), str(model.pin)) == ([], "vae/a.pt", f"sha256:{'a' * 64}")


def test_a_file_that_nobody_read_is_not_linked() -> None:
    unread = replace(candidate(value=None), known=FILE)
    work = decided([question("fixable", unread)], writable=True)
    assert (work.models, "not read yet" in work.left[0][1]) == ({}, True)


def test_wrong_bytes_in_its_place_are_never_replaced() -> None:
    work = decided([question("other", candidate("digest", None))], writable=True)
    assert (work.models, "move the wrong file away" in work.left[0][1]) == ({}, True)
    assert "move that file away" in decided([question("other", places=(TOLD,))], writable=True).left[0][1]


def test_a_place_that_is_told_is_taken_and_a_guess_is_asked_about() -> None:
    (model,) = decided([question("missing", places=(TOLD, GUESS))], writable=True).models.values()
    assert [source.url for source in model.sources] == [TOLD.url]
    work = decided([question("missing", places=(GUESS,))], writable=True)
    assert (work.models, [label for label, _ in work.unclear]) == ({}, ["vae/a.pt"])
    with pytest.raises(click.UsageError, match=r"https://y\.example/a\.pt"):
        insist_clear(work)


def test_a_file_elsewhere_is_a_proposal_that_gives_way_to_a_told_place() -> None:
    elsewhere = candidate("elsewhere", None)
    assert decided([question("proposed", elsewhere, places=(TOLD,))], writable=True).models
    assert decided([question("proposed", elsewhere)], writable=True).unclear


def test_what_nobody_knows_is_left_and_what_is_unproven_too() -> None:
    work = decided([question("missing"), question("unproven")], writable=True)
    assert ["--online" in why or why == "because" for _, why in work.left] == [True, True]
    insist_clear(work)


def test_at_a_terminal_a_person_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def write(self, _: str) -> int:
            return 0

        def flush(self) -> None:
            return

    monkeypatch.setattr(deciding.sys, "stdin", Terminal())
    monkeypatch.setattr(deciding.sys, "stderr", Terminal())
    monkeypatch.setattr(deciding.click, "prompt", lambda *_args, **_more: 2)
    two = (candidate(value="one.pt"), candidate(value="two.pt"))
    work = decided([question("ambiguous", *two)], writable=True)
    assert {edit.new for edit in work.edits} == {"two.pt"}
    monkeypatch.setattr(deciding.click, "prompt", lambda *_args, **_more: 0)
    assert decided([question("ambiguous", *two)], writable=True) == Work()
