from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.cli.model.opening import INDEX, opened
from model_manager.errors import NoIndex, NothingIndexed
from tests.cli.conftest import Call
from tests.index.making import begun


def test_without_an_index_it_is_said_how_one_begins(tmp_path: Path) -> None:
    with pytest.raises(NothingIndexed, match="model dir add"):
        opened(tmp_path)


def test_what_is_no_index_is_never_taken_for_an_empty_one(tmp_path: Path, call: Call) -> None:
    (tmp_path / INDEX).write_bytes(b"something else" * 100)
    with pytest.raises(NoIndex):
        opened(tmp_path)
    code, out, err = call("model", "index", "list", "--json")
    assert (code, out) == (NoIndex.exit_code, "")
    assert "Traceback" not in err


@pytest.mark.parametrize("command", [("index", "list"), ("dir", "list"), ("index", "status")])
def test_an_empty_index_says_what_to_do_next(tmp_path: Path, call: Call, command: tuple[str, str]) -> None:
    begun(tmp_path / INDEX).close()
    code, out, err = call("model", *command)
    assert code == 0
    assert "model dir add DIRECTORY" in out + err


def test_a_tracked_directory_without_models_says_so(tmp_path: Path, call: Call) -> None:
    (tmp_path / "nothing").mkdir()
    call("model", "dir", "add", str(tmp_path / "nothing"))
    assert "no models in the tracked directories" in call("model", "index", "list")[2]
    assert call("model", "index", "list", "--json")[1] == "[]\n"
