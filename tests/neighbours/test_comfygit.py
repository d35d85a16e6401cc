from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.errors import BadForeign
from model_manager.facts.description import Address
from model_manager.neighbours import comfygit
from tests.neighbours.writing import COMFYDOCK, COMFYGIT_10, database, file, insert

SHA, BLAKE = "a1" * 32, "b2" * 32
QUICK, OTHER = "0123456789abcdef", "fedcba9876543210"
URL = "https://huggingface.co/o/n/resolve/main/x.safetensors"
MTIME = 1_700_000_000.25


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return database(tmp_path / "models.db", COMFYGIT_10)


def located(path: Path, base: Path | str, name: str, *, quick: str = QUICK, mtime: float = MTIME) -> None:
    insert(
        path, "model_locations",
        {"model_hash": quick, "base_directory": str(base), "relative_path": name, "filename": "f", "mtime": mtime, "last_seen": 1},
    )  # fmt: skip


def known(path: Path, quick: str = QUICK, size: int = 10, sha256: str | None = SHA) -> None:
    row = {"hash": quick, "file_size": size, "blake3_hash": BLAKE.upper(), "sha256_hash": sha256, "first_seen": 1}
    insert(path, "models", row)


def test_the_shipped_form_tells_hashes_addresses_and_the_quick_hash_of_each_place(
    shipped: Path, tmp_path: Path
) -> None:
    files = [file(tmp_path / "models" / name, 10, MTIME) for name in ("loras/x.safetensors", "x copy.safetensors")]
    known(shipped)
    for path in files:
        located(shipped, tmp_path / "models", str(path.relative_to(tmp_path / "models")))
    insert(
        shipped, "model_sources",
        {"model_hash": QUICK, "source_type": "huggingface", "source_url": URL, "metadata": '{"repo": "o/n", "x": {}}', "added_time": 1},
        {"model_hash": QUICK, "source_type": "custom", "source_url": "file:///x", "added_time": 1},
    )  # fmt: skip
    found = comfygit.read(str(shipped))
    assert not found.odd
    assert [lore.file for lore in found.lore] == [str(path) for path in files]
    lore = found.lore[0]
    assert (lore.size, lore.mtime, lore.quick) == (10, MTIME, (("xxh3_128_sample_v1", QUICK),))
    assert {(str(claim.pin), claim.who) for claim in lore.claims} == {
        (f"sha256:{SHA}", "comfygit"),
        (f"blake3:{BLAKE}", "comfygit"),
    }
    assert lore.addresses == (Address(kind="huggingface", url=URL, data={"repo": "o/n"}),)


def test_before_schema_10_the_quick_hash_was_blake3s(shipped: Path, tmp_path: Path) -> None:
    file(tmp_path / "x.ckpt", 10, MTIME)
    known(shipped)
    located(shipped, tmp_path, "x.ckpt")
    assert comfygit.read(str(shipped)).lore[0].quick[0][0] == "xxh3_128_sample_v1"
    database(shipped, "UPDATE schema_info SET version = 9")
    assert comfygit.read(str(shipped)).lore[0].quick[0][0] == "blake3_sample_v1"


def test_the_planned_form_tells_the_same_from_one_table(tmp_path: Path) -> None:
    path = database(tmp_path / "models.db", COMFYDOCK)
    files = [file(tmp_path / name, 10, MTIME) for name in ("a/x.safetensors", "a/y.safetensors")]
    common = {"filename": "f", "model_type": "lora", "file_size": 10, "last_seen": 1, "mtime": MTIME}
    insert(
        path, "models",
        {**common, "hash": QUICK, "short_hash": QUICK, "path": str(files[0]), "tracked_dir": None, "sha256_hash": SHA},
        {**common, "hash": OTHER, "short_hash": None, "path": "y.safetensors", "tracked_dir": str(tmp_path / "a")},
    )  # fmt: skip
    insert(path, "model_sources", {"hash": QUICK, "source_type": "url", "source_url": "https://x.test/x", "source_data": "{", "added_at": 1})  # fmt: skip
    found = comfygit.read(str(path))
    assert [(lore.file, lore.quick) for lore in found.lore] == [
        (str(files[0]), (("blake3_sample_v1", QUICK),)),
        (str(files[1]), (("blake3_sample_v1", OTHER),)),
    ]
    assert found.lore[0].addresses == (Address(kind="url", url="https://x.test/x"),)
    assert not found.lore[1].claims


def test_a_file_that_changed_or_left_is_reported_and_nothing_of_it_is_taken(shipped: Path, tmp_path: Path) -> None:
    known(shipped)
    for name, size, mtime in (("size", 11, MTIME), ("mtime", 10, MTIME + 1), ("same", 10, MTIME)):
        file(tmp_path / f"{name}.ckpt", size, mtime)
        located(shipped, tmp_path, f"{name}.ckpt")
    located(shipped, tmp_path, "gone.ckpt")
    located(shipped, tmp_path, "../outside.ckpt")
    found = comfygit.read(str(shipped))
    assert [Path(lore.file).stem for lore in found.lore] == ["same"]
    assert [
        next(words for words in ("11 now", "written since", "not here") if words in each.why) for each in found.odd
    ] == ["11 now", "written since", "not here", "not here"]


def test_the_models_directory_can_be_elsewhere_now(shipped: Path, tmp_path: Path) -> None:
    path = file(tmp_path / "new" / "loras" / "x.ckpt", 10, MTIME)
    known(shipped)
    located(shipped, "C:\\ComfyUI\\models", "loras\\x.ckpt")
    assert not comfygit.read(str(shipped)).lore
    assert comfygit.read(str(shipped), base=str(tmp_path / "new")).lore[0].file == str(path)


def test_rows_of_wrong_types_take_no_other_with_them(shipped: Path, tmp_path: Path) -> None:
    file(tmp_path / "x.ckpt", 10, MTIME)
    known(shipped)
    known(shipped, quick="short", sha256="none")
    located(shipped, tmp_path, "x.ckpt")
    located(shipped, "", "x.ckpt", quick="short")
    located(shipped, tmp_path, "no such hash", quick="absent")
    insert(shipped, "model_locations", {"model_hash": QUICK, "base_directory": b"\xff", "relative_path": 5, "filename": "f", "mtime": "x", "last_seen": 1})  # fmt: skip
    found = comfygit.read(str(shipped))
    assert len(found.lore) == 1
    assert len(found.odd) == 2


def test_a_hash_that_is_no_quick_hash_is_left_out(shipped: Path, tmp_path: Path) -> None:
    file(tmp_path / "x.ckpt", 10, MTIME)
    known(shipped, quick="quick")
    located(shipped, tmp_path, "x.ckpt", quick="quick")
    assert comfygit.read(str(shipped)).lore[0].quick == ()


@pytest.mark.parametrize(
    "schema", ["CREATE TABLE other (x)", "CREATE TABLE models (name TEXT); INSERT INTO models VALUES ('x')"]
)
def test_a_database_of_something_else_is_refused(tmp_path: Path, schema: str) -> None:
    with pytest.raises(BadForeign):
        comfygit.read(str(database(tmp_path / "x.db", schema)))


def test_an_empty_index_knows_nothing(shipped: Path) -> None:
    assert comfygit.read(str(shipped)) == comfygit.Findings()
