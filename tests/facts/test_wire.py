from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_manager.errors import BadRecord
from model_manager.facts import wire
from model_manager.facts.event import Envelope, Known, MachineHello, ModelAppeared, ReadinessChanged, Unknown
from model_manager.facts.identity import Digests
from tests.decisions.making import held

KNOWN = [*get_args(Known)]
HELLO = MachineHello(version="1", host="h", boot_id="b", models=1, bytes=2)
MANY = ModelAppeared(models=tuple(wire.entry(held(f"vae/{n}.safetensors")) for n in range(100)))
ENVELOPE = Envelope(
    machine_id="m1", instance="i", epoch=7, seq=3, at="2026-01-01T00:00:00Z", digest="0" * 32, event=HELLO
)


def as_read(envelope):
    """What a stream gives back: bytes."""
    fields = wire.fields(envelope)
    return {key.encode(): value if isinstance(value, bytes) else value.encode() for key, value in fields.items()}


def as_sent(fields):
    """The same as Redis sends it: names and values, one after the other."""
    return [part for pair in fields.items() for part in pair]


def sealed_of(fields):
    return wire.Sealed(as_sent(fields))


@pytest.mark.parametrize("event", [HELLO, MANY, ReadinessChanged(ready=True, reasons=(), workflows={"flux": True})])
def test_an_envelope_comes_back_as_it_went(event):
    envelope = replace(ENVELOPE, event=event)
    assert wire.envelope(as_read(envelope)) == envelope


@pytest.mark.parametrize("event", [HELLO, MANY, Unknown(kind="model.sung_to", data={"song": 1})])
def test_a_sealed_envelope_says_the_same_and_becomes_a_record_when_asked(event):
    envelope = replace(ENVELOPE, event=event)
    sealed = sealed_of(as_read(envelope))
    assert (sealed.kind, sealed.seq, sealed.digest) == (event.kind, envelope.seq, envelope.digest)
    assert sealed.event == event
    assert sealed.event is sealed.event
    assert sealed == envelope == sealed
    assert envelope == sealed
    assert sealed != replace(envelope, seq=99)
    assert len({sealed, sealed_of(as_read(envelope))}) == 1


@pytest.mark.parametrize(("field", "value"), [(b"seq", b"x"), (b"data", b"{"), (b"data", b"[]"), (b"at", None)])
def test_a_sealed_envelope_is_refused_as_an_open_one_is(field, value):
    fields = as_read(ENVELOPE) | {field: value}
    if value is None:
        del fields[field]
    for read in (wire.envelope, sealed_of):
        with pytest.raises(BadRecord):
            read(fields)


def test_the_fields_of_an_entry_may_come_in_any_order_and_with_others_among_them():
    turned = dict(reversed(as_read(ENVELOPE).items()))
    assert sealed_of(turned) == sealed_of({b"later": b"x"} | turned) == ENVELOPE
    twice = [b"seq", b"9", *as_sent(as_read(ENVELOPE))]
    assert wire.Sealed(twice) == ENVELOPE, "the last one counts, as in a dictionary"
    with pytest.raises(BadRecord):
        wire.Sealed([])
    with pytest.raises(BadRecord):
        wire.Sealed(as_sent(as_read(ENVELOPE))[:-1])


@pytest.mark.parametrize(
    "body",
    [
        {"ready": True, "reasons": [], "workflows": {}},
        {"ready": False, "reasons": ["a is missing", "b"], "workflows": {"flux": True, "b": False}, "later": 1},
        {"ready": 1, "reasons": [], "workflows": {}},
        {"ready": "true", "reasons": [], "workflows": {}},
        {"ready": True, "reasons": [1], "workflows": {}},
        {"ready": True, "reasons": "a", "workflows": {}},
        {"ready": True, "reasons": [], "workflows": {"a": 1}},
        {"ready": True, "reasons": [], "workflows": []},
        {"ready": True, "reasons": [None], "workflows": {}},
        {"ready": True},
        {},
    ],
)
def test_l7_readiness_is_read_as_the_checks_of_records_read_it(body, monkeypatch):
    data = json.dumps(body).encode()
    quick = wire.unpack("readiness.changed", data)
    monkeypatch.setattr(wire, "_readiness", lambda body: None)
    assert wire.unpack("readiness.changed", data) == quick


def test_a_known_kind_of_another_shape_is_sealed_as_what_it_is_and_opens_as_unknown():
    sealed = sealed_of(as_read(ENVELOPE) | {b"kind": b"model.appeared", b"data": b'{"models": 5}'})
    assert sealed.kind == "model.appeared"
    assert sealed.event == Unknown(kind="model.appeared", data={"models": 5})


def test_the_fields_of_an_entry_are_those_that_were_promised():
    assert set(wire.fields(ENVELOPE)) == {"machine_id", "instance", "epoch", "seq", "kind", "at", "digest", "data"}


@pytest.mark.parametrize("kind", KNOWN)
def test_every_kind_is_named_once_and_dotted(kind):
    names = [member.__dataclass_fields__["kind"].default for member in KNOWN]
    assert names.count(kind.__dataclass_fields__["kind"].default) == 1
    assert "." in kind.__dataclass_fields__["kind"].default


def test_large_bodies_are_compressed_and_small_ones_are_readable():
    assert wire.pack(HELLO).startswith(b"{")
    assert wire.pack(MANY)[:1] == b"\x78"
    assert len(wire.pack(MANY)) < len(zlib.decompress(wire.pack(MANY))) / 2


def test_a_kind_that_we_do_not_know_survives():
    event = wire.unpack("model.sung_to", b'{"song": 1}')
    assert event == Unknown(kind="model.sung_to", data={"song": 1})
    assert json.loads(wire.pack(event)) == {"song": 1}


def test_l7_a_known_kind_of_another_shape_survives_as_unknown():
    assert isinstance(wire.unpack("machine.hello", b'{"version": {}}'), Unknown)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"7",
        b"null",
        b"{",
        b"\x78",
        b"\x78\x9c garbage",
        b'{"a": NaN}',
        b"[" * 100_000,
        zlib.compress(b"[]"),
        b"\xff\xfe",
    ],
)
def test_what_is_no_object_is_a_bad_record(data):
    with pytest.raises(BadRecord):
        wire.unpack("machine.hello", data)


def test_a_body_that_expands_without_end_is_refused():
    bomb = zlib.compress(b"[" + b" " * (wire.MAX_DATA + 1) + b"]", 9)
    assert len(bomb) < 100_000
    with pytest.raises(BadRecord, match="expands"):
        wire.unpack("machine.hello", bomb)


def test_a_body_that_is_cut_is_refused():
    with pytest.raises(BadRecord):
        wire.unpack("model.appeared", wire.pack(MANY)[:-20])


@pytest.mark.parametrize(
    ("field", "value"),
    [(b"epoch", b"x"), (b"seq", b""), (b"machine_id", b"\xff"), (b"kind", None), (b"data", None), (b"digest", None)],
)
def test_an_entry_that_lacks_or_garbles_a_field_is_a_bad_record(field, value):
    entry = as_read(ENVELOPE)
    if value is None:
        del entry[field]
    else:
        entry[field] = value
    with pytest.raises(BadRecord):
        wire.envelope(entry)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_bad_record(data):
    try:
        wire.unpack("model.appeared", data)
    except BadRecord:
        return


@pytest.mark.parametrize("text", ["", "{", "NaN", "Infinity", "{'a': 1}", "[1,]", "\ud800", "[" * 100_000, b"\xff"])
def test_json_is_strict(text):
    with pytest.raises(BadRecord):
        wire.loads(text)


@pytest.mark.parametrize("text", [b'{"a": 1, "a": 1}', b'{"a": 1, "a" :[]}', b'[{"b": {"a": 1, "a": 2}}]', b"{"])
def test_f3_an_object_that_names_a_key_twice_is_refused(text):
    with pytest.raises(BadRecord):
        wire.loads_unique(text, "x")
    assert wire.loads_unique(b'{"a": {"a": 1}}', "x") == {"a": {"a": 1}}
    assert wire.loads_unique(b'{"a" : ["\\":", {}], "b": "a:"}', "x") == {"a": ['":', {}], "b": "a:"}


@pytest.mark.parametrize("piece", [b"[],", b"{},", b"1,"])
def test_f5_text_from_outside_with_too_many_values_is_refused_unread(piece):
    with pytest.raises(BadRecord, match="values"):
        wire.loads_unique(b"[" + piece * wire.MAX_VALUES + b"0]", "x")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(values)
def test_plain_values_come_back(value):
    try:
        text = wire.dumps(value)
    except UnicodeEncodeError:
        return
    assert wire.loads(text) == value


def test_sets_are_written_in_order_and_other_things_are_refused():
    assert wire.dumps({"a": {3, 1, 2}}) == b'{"a":[1,2,3]}'
    with pytest.raises(TypeError):
        wire.dumps({"a": object()})


def test_what_the_fleet_is_told_of_a_file():
    entry = wire.entry(held("vae/a.safetensors", size=1_500_000_000))
    assert (entry.folder, entry.name, entry.size_gb, entry.verified, entry.hash) == (
        "vae",
        "a.safetensors",
        1.5,
        True,
        "a" * 64,
    )
    unread = wire.entry(held("vae/a.safetensors", sha256=None, evidence=None))
    assert (unread.hash, unread.verified, unread.evidence) == ("", False, "")
    fast = wire.entry(replace(held("vae/a.safetensors"), digests=Digests(blake3="c" * 64)))
    assert (fast.hash, fast.verified) == ("", True)
    assert wire.gone(held("vae/a.safetensors")).path == "/m/vae/a.safetensors"


def test_json_that_is_there_already_is_not_read_again() -> None:
    assert wire.dumps({"a": wire.raw('{"b": 1}'), "c": [wire.raw(b"null")]}) == b'{"a":{"b": 1},"c":[null]}'


def test_lenient_json_reads_what_other_programs_write() -> None:
    assert wire.loads_lenient(b'\xef\xbb\xbf{"a": NaN, "b": "\\ud800", "a": 1}', "x") == {"a": 1, "b": "\ud800"}
    for bad in (b"", b"{", b"[" * 100_000, b"[1," * 600_000):
        with pytest.raises(BadRecord):
            wire.loads_lenient(bad, "x")
