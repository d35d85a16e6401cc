from __future__ import annotations

from dataclasses import replace

import pytest

from model_manager.errors import BadPath
from model_manager.facts.identity import Digests
from model_manager.index.rows import held_of, row_of

from .making import held


@pytest.mark.parametrize("file", [held(), held(content="x"), held("deep/er/é.gguf", content="x", evidence="origin")])
def test_a_file_comes_back_from_its_row_as_it_was(file) -> None:
    assert held_of(row_of(file)[:15]) == file


@pytest.mark.parametrize(
    "only", [Digests(sha256="a" * 64), Digests(blake3="b" * 64), Digests(blake3="b" * 64, md5="c" * 32)]
)
def test_a_file_that_is_known_by_one_digest_comes_back_so(only) -> None:
    file = replace(held(evidence="pin"), digests=only)
    assert held_of(row_of(file)[:15]) == file


def test_a_row_carries_the_slot_that_collides() -> None:
    assert row_of(held("A.gguf", folder="unet"))[15:] == ("diffusion_models", "a.gguf")


def test_a_lone_surrogate_has_no_row() -> None:
    with pytest.raises(BadPath):
        row_of(held("\udc80.gguf"))
