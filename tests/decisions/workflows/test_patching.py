from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_manager.decisions.workflows.patching import BOM, Edit, patched, span
from model_manager.errors import BadWorkflow
from model_manager.facts.workflow import Spot

ODD = (
    b'{\n\t"b" : [1.0, 1E5, -0.00, 12345678901234567890, NaN],\r\n  "a":{"x":"old","x" :  "\\u0061.safetensors" },'
    b'"widgets_values":["a.safetensors", null, true,{"deep":["a.safetensors"]}], "k\\"ey\\\\":"v" }\n\n'
)


def edit(new: str, *keys: str | int, old: str = "a.safetensors", span: tuple[int, int] | None = None) -> Edit:
    return Edit(spot=Spot(keys=keys, span=span), old=old, new=new)


def test_one_value_changes_and_every_other_byte_stays() -> None:
    assert patched(ODD, [edit("sub/b.pt", "widgets_values", 0)], "w") == ODD.replace(
        b'["a.safetensors", null', b'["sub/b.pt", null'
    )


def test_of_a_name_that_stands_twice_the_last_one_counts() -> None:
    assert patched(ODD, [edit("b.pt", "a", "x")], "w") == ODD.replace(b'"\\u0061.safetensors"', b'"b.pt"')


def test_all_spots_of_a_value_change_together() -> None:
    edits = [edit("b.pt", "widgets_values", 3, "deep", 0), edit("b.pt", "widgets_values", 0)]
    assert patched(ODD, edits, "w").count(b'"b.pt"') == 2


def test_a_part_of_a_text_changes_alone() -> None:
    data = json.dumps({"text": "a <lora:old:0.8>, embedding:neg, <lora:old:1>"}).encode()
    edits = [
        edit("new", "text", old="old", span=(8, 11)),
        edit("sub/neg", "text", old="neg", span=(28, 31)),
        edit("x", "text", old="old", span=(39, 42)),
    ]
    assert json.loads(patched(data, edits, "w"))["text"] == "a <lora:new:0.8>, embedding:sub/neg, <lora:x:1>"


def test_parts_that_overlap_are_refused() -> None:
    data = b'["abcdef"]'
    with pytest.raises(BadWorkflow, match="overlap"):
        patched(data, [edit("x", 0, old="abc", span=(0, 3)), edit("y", 0, old="cd", span=(2, 4))], "w")


def test_the_same_change_twice_is_one() -> None:
    assert patched(b'["a"]', [edit("b", 0, old="a")] * 2, "w") == b'["b"]'


def test_letters_beyond_ascii_are_escaped_where_the_file_has_none() -> None:
    assert patched(b'["a"]', [edit("\u00e9", 0, old="a")], "w") == b'["\\u00e9"]'
    assert patched('["a","\u00fc"]'.encode(), [edit("\u00e9", 0, old="a")], "w") == '["\u00e9","\u00fc"]'.encode()


def test_a_byte_order_mark_stays() -> None:
    assert patched(BOM + b'["a"]', [edit("b", 0, old="a")], "w") == BOM + b'["b"]'


def test_nothing_to_change_is_the_file_itself() -> None:
    assert patched(ODD, [], "w") == ODD


@pytest.mark.parametrize(
    ("data", "keys", "why"),
    [
        (b'{"a": ["x"]}', ("a", 1), "no item 1"),
        (b'{"a": ["x"]}', ("b",), "no 'b'"),
        (b'{"a": ["x"]}', ("a", "b"), "no object"),
        (b'{"a": ["x"]}', (0,), "no list"),
        (b'{"a": ["x"]}', ("a",), "something else"),
        (b'{"a": 5}', ("a",), "something else"),
        (b'{"a": ["y"]}', ("a", 0), "where 'x' was read"),
        (b'{"a": ["x"', ("a", 0), "never closed"),
        (b'{"a" "x"}', ("a",), "no value"),
        (b'{"a": "x', ("a",), "ends in the middle"),
        (b'{"a": [[["x"]', ("b",), "never closed"),
        (b'{"a": "x" "b"}', ("b",), "no JSON"),
        (b"", ("a",), "no object"),
        (b'{"a": "x", "b": "\xff"}', ("a",), "no JSON in UTF-8"),
    ],
)
def test_what_does_not_say_what_was_read_is_refused_and_says_why(
    data: bytes, keys: tuple[str | int, ...], why: str
) -> None:
    with pytest.raises(BadWorkflow, match=why):
        patched(data, [edit("z", *keys, old="x")], "w")


def test_k7_nesting_without_end_is_refused() -> None:
    with pytest.raises(BadWorkflow):
        patched(b'["x",' + b"[" * 200_000 + b"]" * 200_000 + b"]", [edit("z", 0, old="x")], "w")


def test_a_large_file_is_looked_through_quickly_enough_to_be_tested() -> None:
    node = {"id": 1, "pos": [1.5, 2.5], "widgets_values": ["a.safetensors", '\\ " é'], "properties": {"x": {"y": []}}}
    data = json.dumps({"nodes": [node] * 20_000}, ensure_ascii=False).encode()
    changed = patched(data, [edit("b.pt", "nodes", 19_999, "widgets_values", 0)], "w")
    assert len(changed) == len(data) - len("a.safetensors") + len("b.pt")
    assert json.loads(changed)["nodes"][-1]["widgets_values"][0] == "b.pt"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
LOOKS = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.sampled_from([None, 0, 2, "\t"]),
        "separators": st.sampled_from([None, (",", ":"), (" ,  ", " :\r\n")]),
    }
)


def texts(value: Any, keys: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        return [(keys, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in items for found in texts(inner, (*keys, key))]


def at(value: Any, keys: tuple[str | int, ...]) -> Any:
    for key in keys:
        value = value[key]
    return value


def put(value: Any, keys: tuple[str | int, ...], new: str) -> Any:
    if not keys:
        return new
    inner: Any = dict(value) if isinstance(value, dict) else list(value)
    inner[keys[0]] = put(inner[keys[0]], keys[1:], new)
    return inner


@settings(deadline=None, max_examples=150)
@given(st.data(), JSON, LOOKS, st.text(max_size=12))
def test_only_the_bytes_of_that_value_differ(data: st.DataObject, value: Any, looks: dict[str, Any], new: str) -> None:
    raw = json.dumps(value, **looks).encode("utf-8", "surrogatepass")
    places = texts(value)
    if not places:
        return
    keys, old = data.draw(st.sampled_from(places))
    before = span(raw, keys, "w")
    after = patched(raw, [Edit(spot=Spot(keys=keys), old=old, new=new)], "w")
    grown = len(after) - len(raw)
    assert after[: before[0]] == raw[: before[0]]
    assert after[before[1] + grown :] == raw[before[1] :]
    assert repr(json.loads(after)) == repr(put(json.loads(raw), keys, new))


@settings(deadline=None, max_examples=150)
@given(JSON, LOOKS)
def test_every_value_is_where_it_is_said_to_be(value: Any, looks: dict[str, Any]) -> None:
    raw = json.dumps(value, **looks).encode()
    for keys, text in texts(value):
        start, end = span(raw, keys, "w")
        assert json.loads(raw[start:end]) == text


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=60), st.lists(st.sampled_from(["a", 0, 1, ""]), max_size=3))
def test_k7_no_bytes_raise_anything_else(raw: bytes, keys: list[str | int]) -> None:
    for data in (raw, b'{"a":[' + raw + b"]}"):
        try:
            assert isinstance(patched(data, [Edit(spot=Spot(keys=tuple(keys)), old="", new="x")], "w"), bytes)
        except BadWorkflow:
            continue
