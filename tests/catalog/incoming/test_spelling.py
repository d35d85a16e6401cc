from __future__ import annotations

import pytest

from model_manager.catalog.incoming import spelling


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://huggingface.co/o/r/blob/main/d/x.pt", "https://huggingface.co/o/r/resolve/main/d/x.pt"),
        ("https://huggingface.co/datasets/o/r/blob/main/x.pt", "https://huggingface.co/datasets/o/r/resolve/main/x.pt"),
        ("https://huggingface.co/blob/blob/resolve/main/x.pt", "https://huggingface.co/blob/blob/resolve/main/x.pt"),
        ("https://huggingface.co.evil/o/r/blob/main/x.pt", "https://huggingface.co.evil/o/r/blob/main/x.pt"),
        ("https://github.com/o/r/blob/main/x.pt", "https://github.com/o/r/blob/main/x.pt"),
    ],
)
def test_only_pages_of_huggingface_become_files(url: str, clean: str) -> None:
    assert spelling.address(url, "x.pt")[0] == clean


@pytest.mark.parametrize(
    ("url", "name", "other"),
    [
        ("https://h/a.pt", "a.pt", False), ("https://h/A.PT?download=true", "a.pt", False), ("https://h/a%2Dm.pt", "a-m.pt", False),
        ("https://h/b.pt", "a.pt", True), ("https://civitai.com/api/download/models/1", "a.pt", False), ("https://h/a.pt", "d/a.pt", False),
    ],
)  # fmt: skip
def test_an_address_is_another_models_when_it_ends_in_another_file(url: str, name: str, other: bool) -> None:
    assert spelling.differs(url, name) is other


def test_the_first_spelling_with_a_value_counts_and_words_for_nothing_do_not() -> None:
    assert spelling.text({"name": None, "filename": " a "}, spelling.NAME) == "a"
    assert [spelling.text({"licence": word}, spelling.LICENCE) for word in ("None", "null", "", 5, "MIT\0")] == [""] * 5


@pytest.mark.parametrize(
    ("value", "number"), [(1, 1.0), (0, None), (-1, None), (True, None), ("1", None), (float("inf"), None)]
)
def test_a_number_is_finite_and_above_zero(value: object, number: float | None) -> None:
    assert spelling.number(value) == number


def test_digests_that_are_none_are_dropped_one_by_one() -> None:
    kept, told = spelling.digests({"SHA256": "A1" * 32, "md5": "x", "spell": "00"}, "m")
    assert kept == (("sha256", "a1" * 32),)
    assert [each.done for each in told] == ["dropped", "dropped"]
    assert spelling.digests(["x"], "m")[1][0].done == "dropped"
