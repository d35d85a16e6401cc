from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from model_manager.bus.holding import Holders
from model_manager.facts.event import Entry
from model_manager.facts.mirror import Copy, copy_of
from tests.bus.telling import entry


def having(holders: Holders, machine: str, *entries: Entry) -> dict[str, Copy]:
    copies = {each.path: holders.share(each) for each in entries}
    holders.replace(machine, {}, copies)
    return copies


def test_a_thousand_machines_share_one_copy() -> None:
    holders = Holders()
    mirrors = [having(holders, f"m{n}", replace(entry("a.pt"), mtime_ns=n)) for n in range(1_000)]
    assert len(holders) == 1
    assert len({id(copy) for mirror in mirrors for copy in mirror.values()}) == 1
    assert [len(machines) for _, machines in holders] == [1_000]


def test_json_and_events_lead_to_the_same_copy() -> None:
    holders = Holders()
    copies = having(holders, "m1", entry("a.pt"))
    assert holders.read(asdict(entry("a.pt"))) is next(iter(copies.values()))
    assert Holders().read(asdict(entry("b.pt"))) == copy_of(entry("b.pt"))


@pytest.mark.parametrize(
    ("field", "value"), [("path", 5), ("size", "5"), ("size", True), ("verified", 1), ("hash", None)]
)
def test_json_of_another_shape_is_none(field: str, value: object) -> None:
    with pytest.raises(TypeError):
        Holders().read(asdict(entry("a.pt")) | {field: value})


def test_who_has_it_by_name_folder_and_hash() -> None:
    holders = Holders()
    deep = entry("SD15/a.pt", "checkpoints")
    having(holders, "m1", entry("a.pt", "loras"), deep)
    having(holders, "m2", entry("a.pt", "vae"))
    assert {copy.folder for copy, _ in holders.named("a.pt")} == {"loras", "vae"}
    assert [set(machines) for _, machines in holders.named("vae/a.pt")] == [{"m2"}]
    assert [copy.name for copy, _ in holders.named("SD15/a.pt")] == ["SD15/a.pt"]
    assert [copy.name for copy, _ in holders.named("checkpoints/SD15/a.pt")] == ["SD15/a.pt"]
    assert len(list(holders.hashed("AB" * 32))) == 3
    assert list(holders.named("")) == list(holders.hashed("")) == []


def test_what_nobody_has_any_more_is_gone_from_every_table() -> None:
    holders = Holders()
    one = having(holders, "m1", entry("a.pt"), entry("b.pt"))
    two = having(holders, "m2", entry("a.pt"))
    holders.replace("m1", one, {})
    assert [(copy.name, set(machines)) for copy, machines in holders] == [("a.pt", {"m2"})]
    holders.change("m2", next(iter(two.values())), None)
    assert len(holders) == 0
    assert not any(vars(holders).values())


def test_a_change_leaves_the_old_and_enters_the_new() -> None:
    holders = Holders()
    old = next(iter(having(holders, "m1", entry("a.pt")).values()))
    new = holders.share(entry("a.pt", size=9))
    holders.change("m1", old, new)
    assert [copy.size for copy, _ in holders.named("a.pt")] == [9]
