from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import Call
from tests.cli.model.conftest import Library, put
from tests.stories.machine import safetensors

Pieces = Callable[..., Any]


def names(models: list[dict[str, Any]]) -> list[str]:
    return [model["name"] for model in models]


def test_a_model_of_several_files_is_one_line(ask: Call) -> None:
    code, out, _ = ask("list")
    assert code == 0
    assert out.count("diffusers/painter") == 1
    assert "text_encoders/t5/t5.safetensors" in out
    assert "t5-00002" not in out
    assert "verified, 3 files" in out


def test_shards_that_are_missing_are_seen(ask: Call) -> None:
    _, out, _ = ask("list", "--folder", "text_encoders")
    assert "1 of 2 files" in out


def test_k12_a_name_that_plays_with_the_terminal_is_shown_harmless(ask: Call) -> None:
    out = ask("list")[1]
    assert "\x1b" not in out
    assert r"evil\x1b[31m.safetensors" in out


def test_a_page_says_how_much_more_there_is(ask: Call) -> None:
    _, out, err = ask("list", "--folder", "loras", "--limit", "2")
    assert len(out.splitlines()) == 3
    assert "2 models; 8 files more, '--limit 0' shows all" in err
    assert "more" not in ask("list", "--limit", "0")[2]


def test_a_page_is_of_models_and_not_of_files(pieces: Pieces) -> None:
    encoders = pieces("list", "--folder", "text_encoders", "--limit", "2")
    assert names(encoders) == ["half.safetensors", "t5/t5.safetensors"]
    assert [len(model["parts"]) for model in encoders] == [1, 3]


def test_a_listing_is_narrowed_by_folder_directory_and_state(pieces: Pieces, library: Library) -> None:
    assert names(pieces("list", "--dir", str(library.solo))) == ["solo.safetensors"]
    assert names(pieces("list", "--folder", "loras/copies")) == ["copies/style_0 (1).safetensors"]
    assert names(pieces("list", "--unverified")) == ["broken.safetensors"]


def test_a_listing_is_sorted_as_asked(pieces: Pieces) -> None:
    sizes = [model["size"] for model in pieces("list", "--folder", "loras", "--sort", "size")]
    assert sizes == sorted(sizes, reverse=True)


def test_a_mistyped_folder_is_answered_with_the_nearest_one(ask: Call) -> None:
    code, out, err = ask("list", "--folder", "lora")
    assert (code, out) == (0, "")
    assert "did you mean '--folder loras'?" in err


def test_a_directory_that_is_not_tracked_is_no_empty_list(ask: Call) -> None:
    code, out, err = ask("list", "--dir", "/nowhere", "--json")
    assert (code, out) == (65, "")
    assert "/nowhere is not a tracked directory" in err


def test_every_page_is_listed_once(pieces: Pieces, monkeypatch) -> None:
    whole = names(pieces("list"))
    monkeypatch.setattr("model_manager.cli.model.list.PAGE", 2)
    monkeypatch.setattr("model_manager.cli.model.list.LARGEST_PAGE", 3)
    assert names(pieces("list")) == whole
    assert len(whole) == len(set(whole))


def test_comfydocks_word_for_a_folder_is_understood(call: Call, tmp_path: Path) -> None:
    put(tmp_path / "m" / "loras" / "a.safetensors", safetensors(900, 1))
    put(tmp_path / "m" / "vae" / "b.safetensors", safetensors(900, 2))
    assert call("model", "dir", "add", str(tmp_path / "m"))[0] == 0
    _, out, _ = call("model", "index", "list", "--type", "lora", "--json")
    assert [each["name"] for each in json.loads(out)] == ["a.safetensors"]
