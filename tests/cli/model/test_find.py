from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.cli.model.conftest import Library
from tests.stories.machine import safetensors, sha256

Pieces = Callable[..., Any]


def test_a_part_of_a_name_finds_every_model_that_has_it(pieces: Pieces) -> None:
    assert [model["name"] for model in pieces("find", "style_3")] == ["style_3.safetensors"]
    assert len(pieces("find", "style_")) == 7


def test_the_beginning_of_a_hash_finds_all_files_of_these_bytes(pieces: Pieces) -> None:
    prefix = sha256(safetensors(1000, 0))[:8].upper()
    assert {model["name"] for model in pieces("find", prefix)} == {
        "style_0.safetensors",
        "copies/style_0 (1).safetensors",
    }


def test_a_path_and_an_address_find_their_model(pieces: Pieces, library: Library) -> None:
    (by_path,) = pieces("find", str(library.nas / "loras" / "style_5.safetensors"))
    (by_address,) = pieces("find", "https://civitai.com/api/download/models/55")
    assert by_path == by_address
    assert (by_path["title"], by_path["base_model"], by_path["type"]) == ("Pixel Art", "SDXL 1.0", "lora")


def test_a_model_of_several_files_is_found_by_its_directory(pieces: Pieces) -> None:
    (found,) = pieces("find", "painter")
    assert (found["folder"], found["name"], len(found["parts"])) == ("diffusers", "painter", 2)


def test_a_typo_suggests_the_nearest_name(ask: Call) -> None:
    code, out, err = ask("find", "stile_3")
    assert (code, out) == (65, "")
    assert "Did you mean 'style_3.safetensors'?" in err


def test_nothing_found_is_an_empty_list_and_a_code(ask: Call) -> None:
    assert ask("find", "nosuchthing", "--json")[:2] == (65, "[]\n")


def test_more_than_the_limit_is_said(ask: Call) -> None:
    _, out, err = ask("find", "style", "--limit", "3")
    assert len(out.splitlines()) == 4
    assert "more than 3" in err


@pytest.mark.parametrize("folder", ["loras", "LORAS", "vae"])
def test_a_search_is_narrowed_by_a_folder(pieces: Pieces, folder: str) -> None:
    assert {model["folder"] for model in pieces("find", "safetensors", "--folder", folder)} == {folder.lower()}
