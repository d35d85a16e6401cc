from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_manager.cli.main import main
from model_manager.settings import FILE_VARIABLE, SECRETS, names
from tests.cli.gate import Gate, gate_at

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Gate]:
    """An agent's socket in the state directory that `call` names."""
    with gate_at(tmp_path / "control.sock") as gate:
        yield gate


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing to us."""
    for name in (*names(), *(f"{name}_FILE" for name in SECRETS), FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, bare: None) -> Call:
    """`model-manager ARGUMENTS` → exit code, standard output, standard error."""
    monkeypatch.setenv("MODEL_MANAGER_STATE_DIR", str(tmp_path))

    def calling(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        said = capsys.readouterr()
        code = left.value.code
        assert code is None or isinstance(code, int)
        return code or 0, said.out, said.err

    return calling
