"""The table of loaders of custom nodes."""

from __future__ import annotations

import re

import pytest

from model_manager.facts.builtin_nodes import BUILTIN
from model_manager.facts.loaders import parsed
from model_manager.facts.loaders_custom import CUSTOM_LOADERS, DISPLAYS, DOWNLOADERS


@pytest.mark.parametrize("name", CUSTOM_LOADERS)
def test_each_line_can_be_read_and_has_a_model(name: str) -> None:
    loader = parsed(CUSTOM_LOADERS[name])
    assert loader.models
    for widget in (*loader.head, *loader.rows):
        assert re.fullmatch(r"[\w.#]+", widget.name), widget
        assert all(re.fullmatch(r"[\w\-/]+", folder) for folder in widget.folders), widget


def test_folders_have_their_canonical_names() -> None:
    folders = {
        folder for line in CUSTOM_LOADERS.values() for widget in parsed(line).models for folder in widget.folders
    }
    assert not folders & {"unet", "clip", "t2i_adapter"}


def test_no_node_is_in_two_tables() -> None:
    assert not CUSTOM_LOADERS.keys() & (BUILTIN | DOWNLOADERS.keys() | DISPLAYS)


def test_downloaders_are_told_an_address_or_a_number() -> None:
    for widgets in DOWNLOADERS.values():
        assert {"url", "link", "model_url", "model_id"} & set(widgets)
