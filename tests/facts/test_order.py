from __future__ import annotations

import pytest

from model_manager.errors import BadOrder
from model_manager.facts.order import MOST_FILES, Order, fields_of, order, order_of


def as_read(fields: dict[str, str | bytes]) -> dict[bytes, bytes]:
    return {name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in fields.items()}


@pytest.mark.parametrize(
    "sent",
    [
        Order(id="a-1", what="scan"),
        Order(id="b", what="verify", files=("loras/x.pt", "/m/ü.pt")),
        Order(id="c", what="remove", files=("/m/x.pt",), options=frozenset({"confirm", "force"})),
    ],
)
def test_an_order_comes_back_as_it_went(sent: Order) -> None:
    assert order_of(as_read(fields_of(sent))) == sent


def test_fields_of_a_later_release_do_not_matter() -> None:
    assert order_of({b"order": b"a", b"what": b"reload", b"mood": b"good"}) == Order(id="a", what="reload")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "its id"),
        ({b"order": b"a"}, "'' is none of"),
        ({b"order": b"a:b", b"what": b"scan"}, "its id"),
        ({b"order": b"a" * 65, b"what": b"scan"}, "its id"),
        ({b"order": b"a", b"what": b"explode\n"}, "none of scan, verify, reload"),
        ({b"order": b"a", b"what": b"scan", b"files": b'["x"]'}, "without files"),
        ({b"order": b"a", b"what": b"verify", b"files": b"x"}, "no JSON list"),
        ({b"order": b"a", b"what": b"verify", b"files": b"[1]"}, "no list of names"),
        ({b"order": b"a", b"what": b"verify", b"files": b'{"x": 1}'}, "no list of names"),
        ({b"order": b"a", b"what": b"verify", b"files": b'[""]'}, "empty or too long"),
        ({b"order": b"a", b"what": b"verify", b"files": b'["a\\u0000b"]'}, "empty or too long"),
        ({b"order": b"\xff", b"what": b"scan"}, "not UTF-8"),
        ({b"order": b"a", b"what": b"remove"}, "must name its files"),
        ({b"order": b"a", b"what": b"remove", b"files": b'["x"]', b"options": b"unlink"}, "no option 'unlink'"),
        ({b"order": b"a", b"what": b"scan", b"options": b"force"}, "no option 'force'"),
    ],
)
def test_k12_what_cannot_be_meant_is_refused_on_one_line(fields: dict[bytes, bytes], word: str) -> None:
    with pytest.raises(BadOrder) as caught:
        order_of(fields)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_of_files_is_bounded_and_names_each_once() -> None:
    with pytest.raises(BadOrder):
        order("a", "verify", ["x"] * (MOST_FILES + 1))
    assert order("a", "verify", ["x", "y", "x"]).files == ("x", "y")
