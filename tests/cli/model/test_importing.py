from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.cli.gate import gate_at
from tests.stories.machine import safetensors, sha256

ADDRESS = "https://civitai.com/api/download/models/99"


@pytest.fixture
def database(own: Path, tmp_path: Path) -> Path:
    """ComfyDock's, which knows where one of our files came from, and a file that we have not."""
    path = tmp_path / "models.db"
    file = own / "vae" / "c.safetensors"
    rows = [
        ("aa11", str(file), file.name, 3000, 1_900_000_000, file.stat().st_mtime, sha256(safetensors(3000, 3))),
        ("bb22", str(own / "vae" / "no.safetensors"), "no.safetensors", 7, 1_900_000_000, 1.0, None),
    ]
    with sqlite3.connect(path) as db:
        db.executescript(
            "CREATE TABLE models (hash TEXT PRIMARY KEY, path TEXT, filename TEXT, model_type TEXT DEFAULT 'vae',"
            " file_size INTEGER, last_seen INTEGER, metadata TEXT DEFAULT '{}', short_hash TEXT, mtime REAL,"
            " tracked_dir TEXT, blake3_hash TEXT, sha256_hash TEXT);"
            "CREATE TABLE model_sources (id INTEGER PRIMARY KEY, hash TEXT, source_type TEXT, source_url TEXT,"
            " source_data TEXT, added_at INTEGER);"
        )
        db.executemany(
            "INSERT INTO models (hash, path, filename, file_size, last_seen, mtime, sha256_hash) VALUES (?,?,?,?,?,?,?)",
            rows,
        )
        db.execute("INSERT INTO model_sources VALUES (1, 'aa11', 'civitai', ?, '{}', 1)", (ADDRESS,))
    db.close()
    return path


def test_what_another_program_knows_is_learnt(database: Path, call: Call) -> None:
    code, out, _ = call("model", "index", "import", str(database))
    assert code == 0
    assert "1 file of which something was learnt" in out
    (found,) = json.loads(call("model", "index", "find", ADDRESS, "--json")[1])
    assert (found["name"], found["read"]) == ("c.safetensors", False)


def test_a_dry_run_enters_nothing(database: Path, call: Call) -> None:
    code, out, _ = call("model", "index", "import", str(database), "--dry-run")
    assert code == 0
    assert "1 file of which something would be learnt" in out
    assert call("model", "index", "find", ADDRESS, "--json")[0] == 65


def test_what_is_left_out_is_said(database: Path, call: Call) -> None:
    said = json.loads(call("model", "index", "import", str(database), "--json")[1])
    assert [Path(file).name for file in said["files"]] == ["c.safetensors"]
    other = [*said["strangers"], *(each["where"] for each in said["odd"])]
    assert [Path(file).name for file in other] == ["no.safetensors"]
    assert "no.safetensors" in call("model", "index", "import", str(database))[1]


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_what_is_no_such_thing_is_refused(own: Path, tmp_path: Path, call: Call, content: bytes | None) -> None:
    path = tmp_path / "models.db"
    if content is not None:
        path.write_bytes(content)
    code, _, err = call("model", "index", "import", str(path))
    assert code == 65
    assert "Name the" in err
    assert "Traceback" not in err


def test_of_a_cache_that_is_named_itself_the_directory_is_asked_for(own: Path, tmp_path: Path, call: Call) -> None:
    (tmp_path / "cache.json").write_text('{"hashes": {}}')
    code, _, err = call("model", "index", "import", str(tmp_path / "cache.json"))
    assert code == 65
    assert "a cache of A1111 or Forge is read by its directory" in err


def test_an_agent_is_given_whole_paths(own: Path, tmp_path: Path, call: Call, monkeypatch) -> None:
    (tmp_path / "models.db").touch()
    monkeypatch.chdir(tmp_path)
    found = {"files": [f"/f/{n}" for n in range(12)], "strangers": [], "odd": [{"where": "x\x1b", "why": "odd"}]}
    with gate_at(tmp_path / "control.sock") as gate:
        gate.answers["/import"] = (200, {"accepted": True, **found})
        _, out, _ = call("model", "index", "import", "models.db", "--base", "nas")
    assert gate.bodies == [{"path": str(tmp_path / "models.db"), "base": str(own), "dry": False}]
    assert "12 files of which something was learnt" in out
    assert r"  x\x1b: odd" in out
