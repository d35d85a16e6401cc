from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from model_manager.errors import StrangeAnswer
from model_manager.sources.civitai_versions import ids_of, versions_of

BASE = URL("https://mirror.example")
A, B, C = "a" * 64, "b" * 64, "c" * 64


def record(number: int, *hashes: str, url: object = "https://civitai.com/api/download/models/7") -> dict[str, Any]:
    """As the service writes it: hashes in capitals."""
    files = [
        {"name": f"{sha256[0]}.safetensors", "hashes": {"SHA256": sha256.upper(), "AutoV2": "X"}, "downloadUrl": url}
        for sha256 in hashes
    ]
    return {"id": number, "modelId": 1, "name": "v1", "files": files, "downloadUrl": url}


def test_records_are_found_by_their_hashes_whatever_their_order() -> None:
    answer = versions_of([record(2, B), record(1, A)], [A, B, C], BASE)
    assert {sha256: version["id"] for sha256, version in answer.found.items()} == {A: 1, B: 2}
    assert answer.absent == {C}
    assert not answer.doubtful


def test_of_a_version_with_several_files_only_the_one_that_was_asked_about_is_told() -> None:
    answer = versions_of([record(1, A, B), record(1, A, B)], [A, B], BASE)
    assert [file["name"] for file in answer.found[B]["files"]] == ["b.safetensors"]
    assert answer.others == {}


def test_a_file_in_several_versions_is_told_by_the_one_that_was_published_first() -> None:
    answer = versions_of([record(9, A), record(3, A), record(5, A)], [A], BASE)
    assert (answer.found[A]["id"], answer.others) == (3, {A: (5, 9)})


@pytest.mark.parametrize(
    "odd",
    [None, 7, "x", [], {}, {"id": 1}, {"id": "1", "files": []}, {"id": True, "files": []}, {"id": 1, "files": {}},
     record(9), record(9, C), {"id": 9, "files": [None, {"hashes": None}, {"hashes": {"SHA256": 7}}]}],
)  # fmt: skip
def test_f3_what_cannot_be_read_makes_the_rest_doubtful_and_never_absent(odd: Any) -> None:
    answer = versions_of([odd, record(1, A)], [A, B], BASE)
    assert set(answer.found) == {A}
    assert (answer.absent, set(answer.doubtful)) == (frozenset(), {B})


@pytest.mark.parametrize("rows", [[7, 8], [{"modelVersionId": 3, "sha": A}], [None]])
def test_f3_an_answer_of_another_form_is_a_failure_that_says_so(rows: list[Any]) -> None:
    for read in (versions_of, ids_of):
        with pytest.raises(StrangeAnswer, match="a form that this version does not know"):
            read(rows, [A], BASE)


def test_nothing_found_is_all_absent() -> None:
    assert versions_of([], [A], BASE).absent == {A}
    assert ids_of([], [A], BASE).absent == {A}


@pytest.mark.parametrize(
    ("url", "mended"),
    [
        ("https://civitai.com/api/download/models/7?type=Model", "https://civitai.com/api/download/models/7?type=Model"),
        ("https://mirror.example/api/download/models/7", "https://mirror.example/api/download/models/7"),
        ("https://undefined/api/download/models/7?type=Model", "https://mirror.example/api/download/models/7?type=Model"),
        ("https://civitai.com.evil.example/x", "https://mirror.example/x"),
        ("https://civitai.com/x?token=SECRET&type=Model", "https://civitai.com/x?type=Model"),
        ("file:///etc/passwd", None),
        ("http://169.254.169.254/latest", None),
        ("not an address", None),
        (7, None),
        (None, None),
    ],
)  # fmt: skip
def test_k4_addresses_lead_to_where_we_asked(url: object, mended: str | None) -> None:
    found = versions_of([record(1, A, url=url)], [A], BASE).found[A]
    assert found.get("downloadUrl") == mended
    assert found["files"][0].get("downloadUrl") == mended


def test_ids_are_grouped_by_hash_in_the_order_of_publishing() -> None:
    rows = [
        {"modelVersionId": n, "modelId": 1, "hash": sha256.upper()} for n, sha256 in ((9, A), (2, A), (2, A), (4, C))
    ]
    answer = ids_of(rows, [A, B], BASE)
    assert answer.found == {A: (2, 9)}
    assert answer.absent == {B}


def test_f3_a_pair_that_cannot_be_read_makes_the_rest_doubtful() -> None:
    answer = ids_of([{"modelVersionId": 9, "hash": A}, {"modelVersionId": None, "hash": B}], [A, B], BASE)
    assert (answer.absent, set(answer.doubtful)) == (frozenset(), {B})
