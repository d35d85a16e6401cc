from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.facts import wording

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
EVERY = (
    wording.prose, wording.name, wording.kind, wording.identity, wording.amount, wording.flag, wording.date,
    wording.words, wording.link,
)  # fmt: skip


@pytest.mark.parametrize("writing", EVERY)
@given(value=ANYTHING)
def test_whatever_is_given_becomes_clean_text_or_nothing(writing: wording.Writing, value: object) -> None:
    found = writing(value)
    assert found is None or (found and "\0" not in found and found.encode())


@pytest.mark.parametrize("writing", EVERY)
@pytest.mark.parametrize("value", ["none", "None", "NULL", " ", "", "unknown", "[]", "NaN", None, [], {}, b"x"])
def test_words_for_nothing_are_nothing(writing: wording.Writing, value: object) -> None:
    assert writing(value) is None


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("651553.0", "651553"), (651553.0, "651553"), (651553, "651553"), (" 12 ", "12"),
        (0, None), (-1, None), (True, None), ("1.5", None), ("12abc", None), (10**400, None), ("1e999", None),
        (float("inf"), None), ("9" * 5000, None), ("0x10", None),
    ],
)  # fmt: skip
def test_ids_are_whole_numbers_however_they_are_written(value: object, written: str | None) -> None:
    assert wording.identity(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (144256, "144256"), (6775430.3525390625, "6775430.353"), ("100.50", "100.5"), (0.00001, None), ("x", None),
    ],
)  # fmt: skip
def test_amounts_are_decimal(value: object, written: str | None) -> None:
    assert wording.amount(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (["a", " b ", "a", "", None, 3, {"x": 1}], ["a", "b"]),
        ('["red dress, blue", "b"]', ["red dress, blue", "b"]),
        ("ruanyi0859, library,books ,, reading", ["ruanyi0859", "library", "books", "reading"]),
        (["none"], None),
        ("[not json", None),
        ('["' + "[" * 3000 + '"]', None),
        ("[" * 5000, None),
        ("x" * 300_000, None),
    ],
)
def test_trained_words_are_read_from_lists_from_json_text_and_from_text_with_commas(
    value: object, written: list[str] | None
) -> None:
    if value == '["' + "[" * 3000 + '"]':
        written = ["[" * wording.MAX_WORD]
    found = wording.words(value)
    assert (None if found is None else json.loads(found)) == written


def test_never_more_than_so_many_words() -> None:
    assert len(json.loads(wording.words([f"w{n}" for n in range(100_000)]) or "")) == wording.MAX_WORDS


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("2024-03-15T10:30:00Z", "2024-03-15T10:30:00Z"),
        ("2024-07-23T18:32:01.123+02:00", "2024-07-23T16:32:01Z"),
        ("2024-03-15", "2024-03-15T00:00:00Z"),
        ("2024-03-15 10:30:00", "2024-03-15T10:30:00Z"),
        ("0001-01-01T00:00:00+23:00", None),
        ("yesterday", None),
        (1710498600, None),
    ],
)
def test_dates_are_in_utc(value: object, written: str | None) -> None:
    assert wording.date(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("LORA", "lora"), ("LoCon", "lora"), ("DoRA", "lora"), ("Checkpoint Merge", "checkpoint"),
        ("TextualInversion", "embedding"), ("VAE", "vae"), ("x" * 41, None),
    ],
)  # fmt: skip
def test_types_have_one_word_each(value: object, written: str | None) -> None:
    assert wording.kind(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(True, "1"), ("True", "1"), (1, "1"), (1.0, "1"), (False, "0"), ("0", "0"), (31, None)]
)
def test_flags_are_one_or_nought(value: object, written: str | None) -> None:
    assert wording.flag(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("https://civitai.com/api/download/models/1?type=Model&format=SafeTensor", "same"),
        ("https://civitai.com/api/download/models/1?type=Model&token=abc", "https://civitai.com/api/download/models/1?type=Model"),
        ("https://x.test/a?API_KEY=abc#token=1", "https://x.test/a"),
        ("https://me:secret@x.test/a", None),
        ("javascript:alert(1)", None),
        ("file:///etc/passwd", None),
        ("/loras_static/root1/x.webp", None),
        ("C:\\models\\x.webp", None),
        ("https://x.test/a\nb", None),
        ("https://[::1", None),
        ("https://x.test:99999/", None),
        ("https://" + "x" * 3000, None),
    ],
)  # fmt: skip
def test_links_lead_to_the_web_and_carry_no_secret(value: str, written: str | None) -> None:
    assert wording.link(value) == (value if written == "same" else written)


def test_prose_keeps_its_lines_and_loses_what_cannot_be_kept() -> None:
    assert wording.prose("<p>a\r\nb\x00\x1b[31m\tc\ud800</p>") == "<p>a\nb[31m\tc?</p>"
    assert len(wording.prose("x" * 10_000_000) or "") == wording.MAX_PROSE
    assert wording.name("a\n b\t c") == "a b c"


def test_the_host_of_an_address() -> None:
    assert wording.host("https://CivitAI.com:443/x") == "civitai.com"
    assert wording.host("https://civitai.com@evil.test/") == ""
    assert wording.host("nonsense") == ""
