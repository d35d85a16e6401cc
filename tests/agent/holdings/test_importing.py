from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from model_manager.agent.holdings.importing import Importing
from model_manager.errors import BadForeign, DiskUnavailable
from model_manager.index.reading import Shop
from tests.agent.stage import Stage
from tests.neighbours.writing import COMFYGIT_10, STABLEQUEUE, beside, database, insert

A = "loras/a.safetensors"
SHA, QUICK = "a1" * 32, "0123456789abcdef"
URL = "https://huggingface.co/o/n/resolve/main/x.safetensors"
BYTES = b"weights"


def importing(scene: Stage) -> Importing:
    return Importing(scene.board, scene.shelves, scene.index)


def claims(scene: Stage) -> set[tuple[str, str]]:
    """(who, hex) of every hash that is claimed for A."""
    return {(claim.who, claim.pin.hex) for claim in _detail(scene).claims}


def _detail(scene: Stage) -> Any:
    with Shop.open(scene.state / "index.sqlite") as shop:
        (known,) = shop.find(str(scene.store / A))
        return shop.show(known.content_id)


def comfygit(scene: Stage, directory: Path, *names: str, size: int = len(BYTES)) -> Path:
    path = database(directory / "models.db", COMFYGIT_10)
    row = {"hash": QUICK, "file_size": size, "blake3_hash": None, "sha256_hash": SHA, "first_seen": 1}
    insert(path, "models", row)
    for name in names:
        place = {"base_directory": str(scene.store), "relative_path": name, "filename": "f"}
        mtime = (scene.store / name).stat().st_mtime
        insert(path, "model_locations", {"model_hash": QUICK, **place, "mtime": mtime, "last_seen": 1})
    source = {"source_type": "huggingface", "source_url": URL, "metadata": "{}", "added_time": 1}
    insert(path, "model_sources", {"model_hash": QUICK, **source})
    return path


async def test_what_comfygit_knows_is_taken_in_and_its_database_left_as_it_was(scene: Stage, tmp_path: Path) -> None:
    held = await scene.holds(A, BYTES)
    path = comfygit(scene, tmp_path / "comfygit", A)
    before = path.read_bytes()
    found = await importing(scene).take(str(path))
    assert (found.files, found.strangers, found.odd) == ((held.file,), (), ())
    assert ("comfygit", SHA) in claims(scene)
    assert [address.url for address in _detail(scene).addresses] == [URL]
    assert _detail(scene).samples == (("xxh3_128_sample_v1", QUICK),)
    assert scene.shelves.held[held.file] == held
    assert (path.read_bytes(), beside(path)) == (before, ["models.db"])


async def test_what_stablequeue_knows_is_taken_in_from_where_its_models_are_now(scene: Stage, tmp_path: Path) -> None:
    held = await scene.holds(A, BYTES)
    path = database(tmp_path / "sq" / "mobilesd_models.sqlite", STABLEQUEUE["24 columns"])
    row = {"local_path": "/app/models/loras", "filename": "a.safetensors", "civitai_model_name": "Library"}
    insert(path, "models", {"id": 1, "name": "a", **row, "hash_sha256": SHA})
    found = await importing(scene).take(str(path), base=str(scene.store))
    assert found.files == (held.file,)
    assert ("civitai_model_name", "Library", "stablequeue") in {
        (t.field, t.value, t.teller) for t in _detail(scene).told
    }
    assert ("stablequeue", SHA) in claims(scene)


async def test_the_hashes_of_a_web_ui_are_taken_in_from_its_directory(scene: Stage, tmp_path: Path) -> None:
    held = await scene.holds(A, BYTES)
    entry = {"mtime": held.fingerprint.mtime_ns / 1e9, "sha256": SHA}
    (tmp_path / "webui").mkdir()
    (tmp_path / "webui" / "cache.json").write_text(json.dumps({"hashes": {"lora/a": entry}}, indent=4))
    found = await importing(scene).take(str(tmp_path / "webui"))
    assert (found.files, found.strangers) == ((held.file,), ())
    assert claims(scene) == {("a1111", SHA)}


async def test_a_dry_run_says_what_would_be_taken_and_takes_nothing(scene: Stage, tmp_path: Path) -> None:
    held = await scene.holds(A, BYTES)
    scene.put("loras/stranger.safetensors", BYTES)
    path = comfygit(scene, tmp_path / "comfygit", A, "loras/stranger.safetensors")
    dry = await importing(scene).take(str(path), dry=True)
    assert dry.files == (held.file,)
    assert dry.strangers == (str(scene.store / "loras/stranger.safetensors"),)
    assert claims(scene) == set()
    assert await importing(scene).take(str(path)) == dry
    assert ("comfygit", SHA) in claims(scene)


async def test_a_file_that_has_another_size_in_the_index_takes_nothing(scene: Stage, tmp_path: Path) -> None:
    await scene.holds(A, b"what was there before")
    scene.put(A, BYTES)
    path = comfygit(scene, tmp_path / "comfygit", A)
    for dry in (True, False):
        found = await importing(scene).take(str(path), dry=dry)
        assert (found.files, found.strangers) == ((), (str(scene.store / A),))
    assert claims(scene) == set()


async def test_a_database_of_neither_program_is_refused_and_both_are_named(scene: Stage, tmp_path: Path) -> None:
    path = database(tmp_path / "x.db", "CREATE TABLE models (x TEXT)")
    with pytest.raises(BadForeign) as raised:
        await importing(scene).take(str(path))
    assert "comfygit" in str(raised.value)
    assert "StableQueue" in str(raised.value)


async def test_a_file_that_is_no_database_is_refused_with_one_reason(scene: Stage, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("notes")
    with pytest.raises(BadForeign) as raised:
        await importing(scene).take(str(tmp_path / "x.db"))
    assert str(tmp_path / "x.db") in str(raised.value)
    assert ", and " not in str(raised.value.facts["why"])


async def test_a_directory_without_anything_to_take_in_is_refused_and_says_what_was_looked_for(
    scene: Stage, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadForeign) as raised:
        await importing(scene).take(str(tmp_path / "empty"))
    assert "A1111" in str(raised.value)
    assert "HuggingFace" in str(raised.value)


async def test_what_is_not_there_is_a_failure_and_not_an_empty_import(scene: Stage, tmp_path: Path) -> None:
    with pytest.raises((BadForeign, DiskUnavailable)) as raised:
        await importing(scene).take(str(tmp_path / "nowhere.db"))
    assert "nowhere.db" in str(raised.value)


async def test_h6_a_pipe_in_the_place_of_a_database_is_refused_and_not_waited_for(scene: Stage, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "models.db")
    with pytest.raises(BadForeign, match="regular file"):
        await importing(scene).take(str(tmp_path / "models.db"))
