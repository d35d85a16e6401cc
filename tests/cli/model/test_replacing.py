from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_manager.cli.model import replacing
from model_manager.cli.model.replacing import logs, perform, plan, steps, tidy_logs
from model_manager.errors import NotReplaced, StillChanging
from model_manager.facts.known import Group
from model_manager.index.reading import Shop
from model_manager.library.duplicates.undoing import UndoLog
from tests.cli.conftest import Call
from tests.cli.model.conftest import LONG_AGO, Library, put


@pytest.fixture
def groups(library: Library) -> tuple[Group, ...]:
    with Shop.open(library.state / "index.sqlite") as shop:
        return shop.duplicates()


@pytest.fixture
def ours(own: Path, call: Call, tmp_path: Path) -> tuple[Group, ...]:
    """The two copies of a directory that may be changed."""
    call("model", "index", "sync")
    with Shop.open(tmp_path / "index.sqlite") as shop:
        return shop.duplicates()


def never() -> bool:
    return False


def silent(_steps: int, _bytes: int) -> None: ...


def test_by_full_hashes_alone_and_links_are_none(groups: tuple[Group, ...]) -> None:
    found = plan(groups, (), "hardlink")
    names = {Path(one.kept.file).name: [Path(each.copies[0].file).name for each in one.redundant] for one in found}
    assert names["style_0.safetensors"] == ["style_0 (1).safetensors"]
    assert not any("style_1" in name or "linked_1" in name for name in names)


def test_what_lies_in_our_store_stays(groups: tuple[Group, ...], library: Library) -> None:
    assert all(one.kept.own for one in plan(groups, [str(library.nas)], "hardlink"))
    assert not any(one.kept.own for one in plan(groups, [], "hardlink"))


@pytest.mark.parametrize(
    ("way", "shares", "how"),
    [
        ("auto", True, "reflink"),
        ("auto", False, "hard link"),
        ("reflink", True, "reflink"),
        ("reflink", False, None),
        ("hardlink", True, "hard link"),
    ],
)
def test_the_way_is_what_was_asked_for_and_what_the_file_system_can(
    groups: tuple[Group, ...], monkeypatch: pytest.MonkeyPatch, way: replacing.Way, shares: bool, how: str | None
) -> None:
    monkeypatch.setattr(replacing, "shares_blocks", lambda _: shares)
    monkeypatch.setattr(replacing, "layout", lambda file: file)
    found = plan(groups, (), way)
    assert {each.how for one in found for each in one.redundant} == {how}
    assert bool(steps(found)) == (how is not None)
    assert (sum(one.reclaimable for one in found) > 0) == (how is not None)


def test_copies_give_way_and_it_is_written_down(ours: tuple[Group, ...], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    log = tmp_path / "undo" / "x.jsonl"
    outcome = perform(steps(plan(ours, (), "hardlink")), str(log), never, lambda *figures: told.append(figures))
    (done,) = outcome.done
    assert os.path.samefile(done.file, ours[0].locations[0].file)
    assert os.path.samefile(ours[0].locations[0].file, ours[0].locations[1].file)
    assert (outcome.failed, outcome.stopped) == ([], False)
    assert outcome.freed > 0
    assert told[-1] == (0, 5000)
    assert log.stat().st_size > 0
    assert logs(log.parent) == [log]


def test_a_copy_that_changed_stays_and_keeps_no_other_from_going(ours: tuple[Group, ...], tmp_path: Path) -> None:
    (step,) = steps(plan(ours, (), "hardlink"))
    Path(step.copy.file).write_bytes(b"other")
    outcome = perform([step, step], str(tmp_path / "x.jsonl"), never, silent)
    assert outcome.done == []
    assert [type(error) for _, error in outcome.failed] == [StillChanging, StillChanging]
    assert Path(step.copy.file).read_bytes() == b"other"


def test_stopping_leaves_the_rest_as_it_is(ours: tuple[Group, ...], tmp_path: Path) -> None:
    found = steps(plan(ours, (), "hardlink"))
    outcome = perform(found, str(tmp_path / "x.jsonl"), lambda: True, silent)
    assert (outcome.stopped, outcome.done) == (True, [])
    assert not os.path.samefile(found[0].copy.file, found[0].by.file)


def test_a_copy_that_is_a_link_already_is_left_with_the_reason(ours: tuple[Group, ...], tmp_path: Path) -> None:
    (step,) = steps(plan(ours, (), "hardlink"))
    os.unlink(step.copy.file)
    os.link(step.by.file, step.copy.file)
    outcome = perform([step], str(tmp_path / "x.jsonl"), never, silent)
    assert [type(error) for _, error in outcome.failed] == [NotReplaced]


def test_earlier_logs_are_tidied_and_one_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").write_text("torn by a crash\n")
    (tmp_path / "2.jsonl.undone").write_text("taken back\n")
    with UndoLog(str(tmp_path / "1.jsonl")):
        assert tidy_logs(tmp_path) == []
    assert [log.name for log in logs(tmp_path)] == ["0.jsonl", "1.jsonl"]
    assert tidy_logs(tmp_path / "nowhere") == []


def test_k3_what_a_link_leads_to_outside_is_never_replaced(own: Path, call: Call, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    young = put(outside / "b.safetensors", (own / "loras" / "a.safetensors").read_bytes(), LONG_AGO + 90)
    (own / "loras" / "away").symlink_to(outside)
    (own / "vae" / "one.safetensors").symlink_to(young)
    call("model", "index", "sync")
    with Shop.open(tmp_path / "index.sqlite") as shop:
        found = plan(shop.duplicates(), (), "hardlink")
    assert [step.copy.file for step in steps(found)] == [str(own / "loras" / "b.safetensors")]
    (stays,) = [each for one in found for each in one.redundant if each.how is None]
    assert str(own / "loras" / "away" / "b.safetensors") in [copy.file for copy in stays.copies]
    assert (stays.why, stays.reclaimable) == (replacing.OUTSIDE, 0)


def test_a_link_to_a_copy_leads_to_what_takes_its_place_and_is_no_failure(
    own: Path, call: Call, tmp_path: Path
) -> None:
    link = own / "vae" / "link.safetensors"
    link.symlink_to(own / "loras" / "b.safetensors")
    call("model", "index", "sync")
    assert call("model", "index", "duplicates", "--replace", "hardlink", "--yes")[0] == 0
    assert link.is_symlink()
    assert len({path.stat().st_ino for path in (link, *(own / "loras").iterdir())}) == 1
