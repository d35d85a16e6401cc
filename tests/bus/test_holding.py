from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from model_manager.bus.holding import Holders
from model_manager.facts.event import Entry
from model_manager.facts.mirror import Copy, copy_of, laid
from model_manager.facts.wire import Sealed, dumps, fields
from tests.bus.telling import Teller, entry


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
    holders.lay("m2", two, [(path, None) for path in list(two)])
    assert two == {}
    assert len(holders) == 0
    assert not any(vars(holders).values())


def test_a_change_leaves_the_old_and_enters_the_new() -> None:
    touched: set[str] = set()
    holders = Holders(touched)
    entries = having(holders, "m1", entry("a.pt"))
    having(holders, "m2", entry("b.pt"))
    assert touched == {"loras/a.pt", "loras/b.pt"}
    touched.clear()
    new = holders.share(entry("a.pt", size=9))
    holders.lay("m1", entries, [(new.path, new)])
    assert touched == {"loras/a.pt"}
    assert entries == {new.path: new}
    assert [copy.size for copy, _ in holders.named("a.pt")] == [9]


def test_an_event_is_read_alike_as_it_came_and_as_a_record() -> None:
    teller = Teller()
    told = [
        teller.appear(entry("a.pt"), entry("b.pt")),
        teller.change(entry("a.pt", size=9)),
        teller.vanish(entry("b.pt")),
    ]
    for envelope in [*told, teller.hello()]:
        sealed = sealed_of({key.encode(): _bytes(value) for key, value in fields(envelope).items()})
        assert list(Holders().laid(sealed)) == list(Holders().laid(envelope)) == list(laid(envelope))


@pytest.mark.parametrize(
    "body",
    [
        {"models": 5},
        {"models": [5]},
        {"models": [{"path": ["a"]}]},
        {"models": [asdict(entry("a.pt")) | {"size": "much"}]},
        {},
        {"models": "x"},
    ],
)
@pytest.mark.parametrize("kind", ["model.appeared", "model.changed", "model.vanished"])
def test_l7_an_event_of_another_shape_changes_nothing_that_we_see(kind: str, body: dict[str, object]) -> None:
    entry_of = {key.encode(): _bytes(value) for key, value in fields(Teller().hello()).items()}
    sealed = sealed_of(entry_of | {b"kind": kind.encode(), b"data": dumps(body)})
    assert [copy for _, copy in Holders().laid(sealed) if copy] == []


def test_a_number_as_text_is_read_as_the_record_reads_it() -> None:
    entry_of = {key.encode(): _bytes(value) for key, value in fields(Teller().hello()).items()}
    body = {"models": [asdict(entry("a.pt")) | {"size": "9"}]}
    sealed = sealed_of(entry_of | {b"kind": b"model.appeared", b"data": dumps(body)})
    assert [copy.size for _, copy in Holders().laid(sealed) if copy] == [9]


def sealed_of(named: dict[bytes, bytes]) -> Sealed:
    return Sealed([part for pair in named.items() for part in pair])


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
