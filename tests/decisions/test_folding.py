from __future__ import annotations

from dataclasses import replace

import pytest

from model_manager.decisions.folding import fold
from model_manager.facts.event import AssignmentChanged, Envelope, MachineHello, ModelChanged, ReadinessChanged, Unknown
from model_manager.facts.mirror import Mirror, Repeat, Resync, Said, copy_of, laid, summed
from tests.bus.telling import Teller, entry

A, B = entry("a.pt"), entry("b.pt")


@pytest.fixture
def teller() -> Teller:
    """It said hello with one file."""
    teller = Teller()
    teller.held = {A.path: A}
    teller.hello()
    return teller


def mirror_of(teller: Teller) -> Mirror:
    copies = {path: copy_of(each) for path, each in teller.held.items()}
    return Mirror(
        machine_id=teller.machine,
        instance="i",
        epoch=teller.epoch,
        seq=teller.seq,
        entries=copies,
        sum=summed(copies.values()),
        at="",
        said=Said(),
    )


def folded(mirror: Mirror, envelope: Envelope) -> Mirror:
    """As the owner of a mirror does it, in a dictionary of its own."""
    verdict = fold(mirror, envelope)
    assert isinstance(verdict, Mirror), verdict
    entries = dict(verdict.entries)
    for path, copy in laid(envelope):
        if copy is None:
            entries.pop(path, None)
        else:
            entries[path] = copy
    return verdict._replace(entries=entries)


def test_what_appears_changes_and_vanishes_is_followed(teller: Teller) -> None:
    mirror = before = mirror_of(teller)
    for envelope in (teller.appear(B), teller.change(replace(B, size=5, verified=False)), teller.vanish(A)):
        mirror = folded(mirror, envelope)
        assert (mirror.position, mirror.digest) == ((envelope.epoch, envelope.seq), envelope.digest)
    assert mirror.entries == mirror_of(teller).entries
    assert list(before.entries) == [A.path], "the decision touches nothing"


def test_a_change_set_is_one_step_and_says_what_it_did(teller: Teller) -> None:
    mirror = mirror_of(teller)
    many = [entry(f"{n}.pt") for n in range(50)]
    envelope = teller.appear(*many)
    verdict = fold(mirror, envelope)
    assert isinstance(verdict, Mirror)
    assert laid(envelope) == [(each.path, copy_of(each)) for each in many]
    assert verdict.digest == envelope.digest
    assert verdict.entries is mirror.entries
    assert len(mirror.entries) == 1


def test_a_path_that_comes_twice_counts_once(teller: Teller) -> None:
    mirror = mirror_of(teller)
    twice = teller.tell(ModelChanged(models=(replace(A, size=5), replace(B, size=7), replace(A, size=9))))
    teller.held |= {A.path: replace(A, size=9), B.path: replace(B, size=7)}
    after = folded(mirror, replace(twice, digest=mirror_of(teller).digest))
    assert after.entries == mirror_of(teller).entries
    assert after.digest == f"{summed(after.entries.values()):032x}"


def test_what_is_repeated_changes_nothing(teller: Teller) -> None:
    mirror = mirror_of(teller)
    envelope = teller.appear(B)
    after = folded(mirror, envelope)
    assert fold(after, envelope) == Repeat()


def test_i5_an_older_epoch_is_fenced_whatever_its_seq(teller: Teller) -> None:
    mirror = mirror_of(teller)
    assert fold(mirror, replace(teller.appear(B), epoch=teller.epoch - 1, seq=99)) == Repeat()


def test_e9_a_hole_asks_for_the_hash_and_leaves_the_mirror(teller: Teller) -> None:
    mirror = mirror_of(teller)
    teller.appear(B)
    verdict = fold(mirror, teller.vanish(A))
    assert isinstance(verdict, Resync)
    assert "hole" in verdict.why


def test_a_hole_is_one_even_when_the_digest_is_the_same(teller: Teller) -> None:
    mirror = mirror_of(teller)
    teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={}))
    assert isinstance(fold(mirror, teller.tell(ReadinessChanged(ready=False, reasons=(), workflows={}))), Resync)


def test_a_digest_that_does_not_fit_asks_for_the_hash(teller: Teller) -> None:
    mirror = mirror_of(teller)
    assert isinstance(fold(mirror, replace(teller.appear(B), digest="0" * 32)), Resync)
    silent = teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={}))
    assert isinstance(fold(mirror._replace(seq=silent.seq - 1), replace(silent, digest="0" * 32)), Resync)


def test_a_new_epoch_goes_on_when_its_hello_has_our_digest(teller: Teller) -> None:
    mirror = folded(mirror_of(teller), teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={"w": True})))
    after = folded(mirror, teller.restart())
    assert (after.position, after.entries) == ((teller.epoch, 1), mirror.entries)
    assert (after.readiness, after.host, after.version) == (None, "h", "1")


def test_a_new_epoch_with_another_digest_or_without_a_hello_asks_for_the_hash(teller: Teller) -> None:
    mirror = mirror_of(teller)
    teller.held[B.path] = B
    assert isinstance(fold(mirror, teller.restart()), Resync)
    later = teller.tell(ReadinessChanged(ready=True, reasons=(), workflows={}))
    assert isinstance(fold(mirror, replace(later, digest=mirror.digest)), Resync)


def test_a_stranger_asks_for_the_hash(teller: Teller) -> None:
    assert isinstance(fold(None, teller.appear(B)), Resync)


def test_l7_an_unknown_kind_is_passed_while_the_digest_is_ours(teller: Teller) -> None:
    mirror = mirror_of(teller)
    after = folded(mirror, teller.tell(Unknown(kind="model.warmed", data={"a": 1})))
    assert (after.seq, after.entries) == (mirror.seq + 1, mirror.entries)
    teller.held[B.path] = B
    assert isinstance(fold(after, teller.tell(Unknown(kind="model.grown", data={}))), Resync)


@pytest.mark.parametrize("missed", [0, 3])
def test_goodbye_empties_the_mirror_also_after_a_hole_and_of_a_stranger(teller: Teller, missed: int) -> None:
    mirror = mirror_of(teller)
    for _ in range(missed):
        teller.tell(Unknown(kind="x"))
    bye = teller.bye()
    for known in (mirror, None):
        after = folded(known, bye)  # type: ignore[arg-type]
        assert (after.left, after.entries, after.position) == (True, {}, (bye.epoch, bye.seq))


def test_who_comes_back_after_goodbye_is_read_anew_unless_it_holds_nothing(teller: Teller) -> None:
    gone = folded(mirror_of(teller), teller.bye())
    assert isinstance(fold(gone, teller.restart()), Resync)
    teller.held.clear()
    again = folded(gone, teller.restart())
    assert (again.left, again.entries) == (False, {})


def test_what_a_machine_says_of_itself_is_kept_for_its_epoch(teller: Teller) -> None:
    mirror = mirror_of(teller)
    ready = ReadinessChanged(ready=False, reasons=("a",), workflows={"w": False})
    told = AssignmentChanged(generation="g", workflows=("w",), collections=(), models=(), required=1, problems=())
    mirror = folded(mirror, teller.tell(ready))
    mirror = folded(mirror, teller.tell(told))
    mirror = folded(mirror, teller.tell(MachineHello(version="2", host="other", boot_id="", models=1, bytes=1)))
    assert mirror.said == Said(host="other", version="2", readiness=ready, assignment=told)


def test_the_owner_may_say_what_is_laid_over_it(teller: Teller) -> None:
    mirror, envelope = mirror_of(teller), teller.appear(B)
    assert isinstance(fold(mirror, envelope, [(B.path, copy_of(B))]), Mirror)
    assert isinstance(fold(mirror, envelope, ()), Resync)
