from __future__ import annotations

import pytest

from model_manager.index.finding import LAST, PART_OF_NAME, PART_OF_PATH, lookups, spelling, within


def _asked(text: str, folder: str | None = None) -> list[str]:
    return [lookup.query for lookup in lookups(text, folder, 9)]


def test_a_name_is_looked_up_exactly_then_as_a_beginning_then_as_a_part_of_names_and_of_subfolders() -> None:
    assert _asked("Flux") == ["find_name", "find_prefix", PART_OF_NAME, PART_OF_PATH]


def test_a_path_an_address_and_a_hash_are_recognised_by_their_looks() -> None:
    assert _asked("/srv/a.gguf")[0] == "find_file"
    assert _asked("https://example.org/a") == ["find_url"]
    assert "find_hash" in _asked("ABCDEF")
    assert "find_hash" not in _asked("abcde")
    assert "find_hash" not in _asked("abcdeg")
    assert _asked("SD15/a") == ["find_name", "find_path_prefix", PART_OF_PATH]
    assert _asked("a", folder="loras") == ["find_name", PART_OF_NAME, PART_OF_PATH]


def test_within_a_folder_its_own_name_is_left_out() -> None:
    *_, last = lookups("models/unet/SD15/a", "diffusion_models", 9)
    *_, other = lookups("diffusion_models/SD15/a", "unet", 9)
    assert (last.values["text"], other.values["text"]) == ("sd15/a", "sd15/a")


def test_what_is_meant_exactly_is_enough_and_a_short_hash_may_be_a_word() -> None:
    enough = {text: [one.query for one in lookups(text, None, 9) if one.enough] for text in ("facade", "0123abcd")}
    assert enough == {"facade": ["find_name"], "0123abcd": ["find_name", "find_hash"]}


@pytest.mark.parametrize("nothing", ["", "  ", "models/"])
def test_nothing_is_looked_up_for_nothing(nothing: str) -> None:
    assert _asked(nothing) == []


@pytest.mark.parametrize(
    ("folder", "category", "above", "below"),
    [
        (None, "", "", LAST),
        ("loras", "loras", "", LAST),
        ("UNET", "diffusion_models", "", LAST),
        ("models/loras/Style/", "loras", "style/", "style0"),
        ("clip\\a\\b", "text_encoders", "a/b/", "a/b0"),
    ],
)
def test_a_folder_is_a_range_of_slots(folder: str | None, category: str, above: str, below: str) -> None:
    assert within(folder) == {"category": category, "above": above, "below": below}


def test_a_spelling_is_that_of_slots() -> None:
    assert spelling("E\u0301\\A") == "é/a"
