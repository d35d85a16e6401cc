from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.neighbours.places import place
from tests.neighbours.writing import file


def test_a_file_is_where_its_record_says(tmp_path: Path) -> None:
    path = file(tmp_path / "loras" / "a" / "x.ckpt", 3)
    found = place(str(tmp_path / "loras"), "a/x.ckpt", None)
    assert found
    assert (found[0], found[1].st_size) == (str(path), 3)
    assert place(str(tmp_path), "x.ckpt", None) is None


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("/app/models/loras/Pony", "x.ckpt"),
        ("/app/models", "loras/Pony/x.ckpt"),
        ("C:\\\\StableQueue\\\\loras\\\\Pony", "x.ckpt"),
        ("D:\\models", "loras\\Pony\\x.ckpt"),
        ("", "loras/Pony/x.ckpt"),
    ],
)
def test_records_of_another_machine_are_found_below_the_directory_that_is_named(
    tmp_path: Path, directory: str, name: str
) -> None:
    path = file(tmp_path / "loras" / "Pony" / "x.ckpt", 1)
    file(tmp_path / "x.ckpt", 2)
    found = place(directory, name, str(tmp_path))
    assert found
    assert found[0] == str(path)


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("{}/models", "../secret.ckpt"), ("{}/models/..", "secret.ckpt"), ("{}", "a\0b"), ("models", "x.ckpt"), ("{}", ""),
        ("C:\\models", "x.ckpt"), ("{}", "models"), ("{}", "."),
    ],
)  # fmt: skip
def test_k1_a_name_that_leads_elsewhere_or_to_no_file_is_nowhere(tmp_path: Path, directory: str, name: str) -> None:
    file(tmp_path / "secret.ckpt", 1)
    file(tmp_path / "models" / "x.ckpt", 1)
    assert place(directory.format(tmp_path), name, None) is None


def test_k1_nor_does_another_base_let_it_out(tmp_path: Path) -> None:
    file(tmp_path / "secret.ckpt", 1)
    assert place("/app", "../secret.ckpt", str(tmp_path / "models")) is None
