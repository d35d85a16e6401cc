"""The sample's files, read by a parser that shares nothing with their writer."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from pathlib import Path

import pytest

from model_manager.sample.models import Recipe, content, write

RECIPES = (Recipe(name="a.safetensors", bytes=100_000), Recipe(name="b.safetensors", bytes=1))
WIDTHS = {"F16": 2}


def parsed(body: bytes) -> dict[str, dict[str, object]]:
    """The tensors of a safetensors file. Fails unless it keeps every rule of the format."""
    (length,) = struct.unpack_from("<Q", body)
    assert length % 8 == 0
    assert body[8:9] == b"{"
    header = json.loads(body[8 : 8 + length].decode("utf-8"))
    metadata = header.pop("__metadata__")
    assert all(isinstance(value, str) for value in metadata.values())
    end = 0
    for tensor in sorted(header.values(), key=lambda tensor: tensor["data_offsets"]):
        start, end_of_tensor = tensor["data_offsets"]
        assert start == end, "a hole or an overlap"
        assert end_of_tensor - start == math.prod(tensor["shape"]) * WIDTHS[tensor["dtype"]]
        end = end_of_tensor
    assert end == len(body) - 8 - length
    return dict(header)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_file_is_valid_safetensors(recipe: Recipe) -> None:
    body = content(recipe)
    assert len(parsed(body)) == 3
    assert len(body) >= recipe.bytes


def test_every_number_is_finite_and_they_differ() -> None:
    body = content(RECIPES[0])
    (length,) = struct.unpack_from("<Q", body)
    numbers = [number for (number,) in struct.iter_unpack("<e", body[8 + length :])]
    assert all(math.isfinite(number) and abs(number) <= 2 for number in numbers)
    assert len(set(numbers)) > 1000


def test_the_same_bytes_come_out_on_every_machine() -> None:
    digest = hashlib.sha256(content(RECIPES[0])).hexdigest()
    assert digest == "10ca516df0069f3222b749ac515f703915acbf712e478353a22b11b92830a31f"
    assert content(RECIPES[0]) != content(Recipe(name="c.safetensors", bytes=100_000))


def test_files_say_their_length_and_hash(tmp_path: Path) -> None:
    for file in write(tmp_path / "files", RECIPES):
        body = file.path.read_bytes()
        assert (file.size, file.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["a.safetensors", "b.safetensors"]


def test_a_file_that_is_whole_is_left_alone(tmp_path: Path) -> None:
    first = write(tmp_path, RECIPES)
    before = [file.path.stat().st_ino for file in first]
    assert [file.path.stat().st_ino for file in write(tmp_path, RECIPES)] == before


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 102_728])
def test_a_damaged_file_is_written_again(tmp_path: Path, damage: bytes) -> None:
    (good, _) = write(tmp_path, RECIPES)
    good.path.write_bytes(damage)
    (again, _) = write(tmp_path, RECIPES)
    assert hashlib.sha256(again.path.read_bytes()).hexdigest() == good.sha256
