"""Tags in prompts."""

from __future__ import annotations

import pytest

from model_manager.decisions.workflows.tagging import MOST, tags


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("embedding:easynegative", ["easynegative"]),
        ("a, (embedding:bad-hands-5:1.3), b", ["bad-hands-5"]),
        ("embedding:dir/name.pt,embedding:dir\\other.safetensors.", ["dir/name.pt", "dir\\other.safetensors"]),
        ("{embedding:a|embedding:b}", ["a", "b"]),
        ("embedding: spaced", []),
        ("<lora:style x:0.8> <lyco:dir/y.safetensors:1:0.5> <lora:z>", ["style x", "dir/y.safetensors", "z"]),
        ("<lora::1> <lora> lora:x:1", []),
        ("nothing of the kind", []),
    ],
)
def test_tags_are_found_with_their_places(text: str, expected: list[str]) -> None:
    found = list(tags(text))
    assert [tag.name for tag in found] == expected
    assert [text[slice(*tag.span)] for tag in found] == expected


def test_a_text_of_tags_has_an_end() -> None:
    assert len(list(tags("embedding:a " * (MOST * 2)))) == MOST
