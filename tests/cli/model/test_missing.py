from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Call
from tests.cli.model.conftest import describe
from tests.stories.machine import safetensors, sha256


def test_what_is_gone_says_where_it_lay_and_where_it_could_come_from(own: Path, call: Call) -> None:
    model = own / "loras" / "a.safetensors"
    describe(model)
    (own / "loras" / "b.safetensors").unlink()
    call("model", "index", "sync")
    model.unlink()
    call("model", "index", "sync")
    code, out, _ = call("model", "index", "missing")
    assert code == 0
    assert f"{model}  5.00 kB" in out
    assert "from https://civitai.com/api/download/models/55" in out
    (found,) = json.loads(call("model", "index", "missing", "--json")[1])
    assert (found["last_file"], found["sha256"]) == (str(model), sha256(safetensors(5000, 1)))
    assert found["addresses"][0]["kind"] == "civitai"


def test_nothing_missing_is_said(ask: Call) -> None:
    assert ask("missing") == (0, "", "nothing is missing\n")
    assert ask("missing", "--json")[1] == "[]\n"
