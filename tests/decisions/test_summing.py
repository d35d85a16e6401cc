from __future__ import annotations

from dataclasses import replace

import pytest

from model_manager.decisions.summing import total
from model_manager.facts.model import Wanted
from model_manager.facts.plan import Check, Fetch, Keep, Link, Refuse, Step
from model_manager.facts.transfer import Phase, Total, Transfer
from tests.decisions.making import held, model, shelf

A, B = shelf("vae/a.safetensors"), shelf("vae/b.safetensors")


def wanted(path: str = "vae/a.safetensors", size: int | None = 100) -> Wanted:
    return Wanted(model=model(path, size=size), required=True, needed_by=("workflow:w",))


def fetch(path: str = "vae/a.safetensors", size: int = 100, **more: object) -> Fetch:
    return Fetch(wanted=wanted(path, size or None), bytes=size, **more)  # type: ignore[arg-type]


def moving(phase: Phase, have: int = 40, of: int | None = 100, path: str = "a") -> Transfer:
    return Transfer(shelf=shelf(f"vae/{path}.safetensors"), phase=phase, bytes=have, total=of)


KEEP = Keep(wanted=wanted(), held=held(size=70))
CHECK = Check(wanted=wanted(), held=held(size=70))
LINK = Link(wanted=wanted(), held=held(size=70))
REFUSE = Refuse(wanted=wanted(), why="no address")

CASES: list[tuple[str, Step, Transfer | None, Total]] = [
    ("here", KEEP, None, Total(present=1, bytes=70, total=70)),
    ("read whole before it counts", CHECK, None, Total(moving=1, bytes=70, total=70)),
    ("its bytes are here", LINK, None, Total(queued=1, bytes=70, total=70)),
    ("refused", REFUSE, None, Total(failed=1, total=100)),
    ("refused, of unknown size", Refuse(wanted=wanted(size=None), why="x"), None, Total(failed=1)),
    ("not begun", fetch(), None, Total(queued=1, total=100, left=100)),
    ("not begun, of unknown size", fetch(size=0), None, Total(queued=1, unknown=1)),
    ("asking", fetch(), moving(Phase.RESOLVING, 0, None), Total(moving=1, total=100, left=100)),
    ("on its way", fetch(), moving(Phase.FETCHING), Total(moving=1, bytes=40, total=100, left=60)),
    ("larger than the catalog says", fetch(), moving(Phase.FETCHING, 40, 300), Total(moving=1, bytes=40, total=300, left=260)),
    ("without an announced size", fetch(size=0), moving(Phase.FETCHING, 40, None), Total(moving=1, unknown=1)),
    ("beyond a wrong hint", fetch(), moving(Phase.FETCHING, 140, None), Total(moving=1, bytes=140, total=140)),
    ("read back from its start", fetch(), moving(Phase.VERIFYING, 5), Total(moving=1, bytes=100, total=100)),
    ("getting its name", fetch(), moving(Phase.PLACING, 100), Total(moving=1, bytes=100, total=100)),
    ("tried again soon", fetch(), moving(Phase.WAITING), Total(waiting=1, bytes=40, total=100, left=60)),
    ("not counted on", fetch(), moving(Phase.FAILED), Total(failed=1, bytes=40, total=100)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "transfer", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_state_adds_its_share(step: Step, transfer: Transfer | None, expected: Total) -> None:
    transfers = {transfer.shelf: transfer} if transfer else {}
    assert total([step], transfers, 0.0) == replace(expected, models=1)


def test_the_time_left_includes_what_has_not_begun() -> None:
    steps = [KEEP, fetch(), fetch("vae/b.safetensors", 1000)]
    got = total(steps, {A: moving(Phase.FETCHING)}, 20.0)
    assert (got.models, got.present, got.moving, got.queued) == (3, 1, 1, 1)
    assert (got.bytes, got.total, got.left) == (110, 1170, 1060)
    assert (got.speed, got.eta) == (20.0, 53.0)


@pytest.mark.parametrize(("steps", "speed"), [([fetch()], 0.0), ([KEEP], 9.0), ([], 9.0), ([REFUSE], 9.0)])
def test_no_time_is_promised_while_nothing_moves_or_nothing_is_left(steps: list[Step], speed: float) -> None:
    assert total(steps, {}, speed).eta is None


def test_the_same_bytes_under_two_names_cross_the_network_once() -> None:
    steps = [fetch(), fetch("vae/b.safetensors", 0, after=A)]
    got = total(steps, {A: moving(Phase.FETCHING)}, 1.0)
    assert (got.moving, got.queued, got.unknown) == (1, 1, 0)
    assert (got.bytes, got.total, got.left) == (80, 200, 60)
