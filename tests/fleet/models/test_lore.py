from __future__ import annotations

from typing import Any

import pytest

from model_manager.facts.order import Order
from model_manager.fleet.models.enquiring import Enquiring
from model_manager.fleet.models.lore import AGAIN, SILENT, Gathering, Lore, believed
from tests.bus.telling import Teller, entry
from tests.fleet.made import Now, looked, mirror, view


def word(field: str, value: str, teller: str) -> dict[str, Any]:
    return {"field": field, "value": value, "teller": teller, "at": "t"}


def test_of_two_who_tell_a_field_the_one_that_goes_first_is_believed() -> None:
    found = believed([word("name", "b", "stablequeue"), word("name", "a", "forge"), word("name", "c", "somebody")])
    assert (found["name"].value, found["name"].teller) == ("a", "forge")


def test_k12_what_is_no_word_is_left_out_and_a_long_one_cut() -> None:
    odd: list[Any] = [7, {"field": 1}, {"field": "x", "value": None, "teller": "forge"}]
    found = believed([*odd, word("y", "z" * 100_000, "forge")])
    assert list(found) == ["y"]
    assert len(found["y"].value) == 2_000


def test_a_model_is_due_while_nobody_asked_when_its_bytes_change_and_after_a_while() -> None:
    lore = Lore()
    assert lore.due("a", "h", 0)
    lore.learn("a", "h", [word("name", "x", "forge")], 0)
    before = lore.version
    assert not lore.due("a", "h", 1)
    assert lore.due("a", "other", 1)
    assert lore.due("a", "h", AGAIN + 1)
    lore.learn("a", "h", [word("name", "x", "forge")], 1)
    assert lore.version == before
    lore.keep(["b"])
    assert (lore.of("a"), lore.due("a", "h", 1)) == ({}, True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:07Z", 7),
        ("1970-01-01T00:00:07.900000", 7),
        ("1970-01-01T01:00:07+01:00", 7),
        ("", None),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
        (None, None),
        (7, None),
    ],
)
def test_k12_when_a_machine_first_saw_it_is_a_time_or_nothing(text: object, seconds: int | None) -> None:
    lore = Lore()
    lore.learn("a", "h", [], 0, text)
    assert lore.added("a") == seconds


def test_of_several_machines_the_one_that_saw_it_first_counts_until_it_is_nowhere() -> None:
    lore = Lore()
    for second in (9, 5, 7):
        lore.learn("a", "h", [], 0, f"1970-01-01T00:00:0{second}Z")
    assert (lore.added("a"), lore.version, lore.changed) == (5, 2, {"a"})
    lore.keep([])
    assert lore.added("a") is None


async def test_a_silent_machine_is_left_alone_and_one_that_speaks_is_learnt_from() -> None:
    now, lore, asked = Now(), Lore(), list[Order]()
    seen = view(now)
    made = mirror(entry("a.pt"), entry("b.pt"))
    seen.mirrors._machines["m1"] = made
    seen.heard(looked(Teller("m1").beat()))
    said: list[bytes | None] = [None]

    async def put(machine_id: str, order: Order, seconds: float) -> bytes | None:
        asked.append(order)
        return said[0]

    gathering = Gathering(lore, seen, Enquiring(seen, put), now)
    await gathering.gather("m1")
    assert list(gathering.askable()) == []
    now.seconds += SILENT + 1
    seen.heard(looked(Teller("m1").beat(), deadline=2.0))
    assert list(gathering.askable()) == ["m1"]
    path = next(iter(made.entries))
    said[0] = (
        f'{{"files": [{{"path": "{path}", "told": [{{"field": "name", "value": "n", "teller": "forge"}}]}}]}}'.encode()
    )
    await gathering.gather("m1")
    place = f"{made.entries[path].folder}/{made.entries[path].name}"
    assert lore.of(place)["name"].value == "n"
    assert list(gathering.askable()) == []
