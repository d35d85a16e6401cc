from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Call
from tests.stories.machine import record, workflow

RECORDS = {
    "models": [record("a.safetensors", "https://origin.test/a", "models/vae", b"weights")],
    "workflows": [workflow("w", "a.safetensors")],
}


def test_an_export_to_a_file_is_imported_again_as_it_was(call: Call, tmp_path: Path) -> None:
    (tmp_path / "records.json").write_text(json.dumps(RECORDS))
    assert call("catalog", "import", str(tmp_path / "records.json"))[0] == 0
    code, out, err = call("catalog", "export", str(tmp_path / "out.ndjson"))
    assert (code, out) == (0, "")
    assert err.startswith("2 records in ")
    assert call("catalog", "import", str(tmp_path / "out.ndjson"), "--database", str(tmp_path / "again.sqlite"))[0] == 0
    assert (
        call("catalog", "export", str(tmp_path / "again.ndjson"), "--database", str(tmp_path / "again.sqlite"))[0] == 0
    )
    assert (tmp_path / "again.ndjson").read_bytes() == (tmp_path / "out.ndjson").read_bytes()
    assert not list(tmp_path.glob("*.part"))
