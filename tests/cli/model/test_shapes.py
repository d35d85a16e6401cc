from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from model_manager.cli.model.shapes import (
    directory_shape,
    hashes_shape,
    line_shape,
    print_array,
    print_json,
    statistics_shape,
)
from model_manager.facts.directory import Directory
from model_manager.facts.identity import Digests
from model_manager.facts.statistics import Statistics

SEEN = Statistics(
    total=9, added=1, updated=2, removed=3, described=4, hashes_calculated=5, hashes_skipped=6, errors=7, seconds=8.0
)


def test_statistics_bear_the_names_that_stablequeue_gave_them() -> None:
    assert statistics_shape(SEEN) == {
        "total": 9,
        "added": 1,
        "updated": 2,
        "hashesCalculated": 5,
        "hashesSkipped": 6,
        "errors": 7,
        "removed": 3,
        "described": 4,
        "seconds": 8.0,
    }


def test_what_an_agent_describes_behind_is_not_called_none() -> None:
    assert statistics_shape(SEEN, described=False)["described"] is None


def test_a_hash_that_is_not_known_is_null() -> None:
    assert set(hashes_shape(None).values()) == {None}
    known = hashes_shape(Digests(sha256="ab" * 32))
    assert (known["autov2"], known["blake3"]) == ("ab" * 5, None)


def test_every_model_of_a_listing_has_the_same_keys(pieces: Callable[..., Any]) -> None:
    listed = pieces("list")
    assert len({tuple(sorted(model)) for model in listed}) == 1
    assert {"content_id", "file", "folder", "name", "size", "sha256", "verified", "parts"} <= listed[0].keys()


def test_a_directory_has_the_number_that_removing_takes() -> None:
    shape = directory_shape(3, Directory(path="/a", scan_seconds=0.12345))
    assert (shape["number"], shape["path"], shape["scan_seconds"]) == (3, "/a", 0.123)


def test_a_name_that_is_no_text_is_printed_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"file": "bad\udcff"})
    assert json.loads(capsys.readouterr().out) == {"file": "bad\udcff"}


def test_an_array_is_printed_an_item_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_array({"a": number} for number in range(3))
    out = capsys.readouterr().out
    assert json.loads(out) == [{"a": 0}, {"a": 1}, {"a": 2}]
    assert len(out.splitlines()) == 5
    print_array([])
    assert capsys.readouterr().out == "[]\n"


def test_a_line_of_one_file_has_no_parts(library) -> None:
    from model_manager.cli.model.lines import lines
    from model_manager.index.reading import Shop

    with Shop.open(library.state / "index.sqlite") as shop:
        (line,) = lines(shop, shop.find("solo"))
    assert (line_shape(line)["parts"], line_shape(line)["bundle"]) == ([], None)
