from __future__ import annotations

import importlib
import subprocess
import sys

import click
import pytest

from model_manager import __version__
from model_manager.cli import main as module
from model_manager.cli.main import COMMANDS, main
from model_manager.errors import BadSetting, NoSpace, RootAway
from tests.cli.conftest import Call

AWAY = RootAway(root="/models", why="it does not exist")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_helps(name: str, call: Call) -> None:
    assert isinstance(importlib.import_module(f"model_manager.cli.{name}").command, click.Command)
    code, out, _ = call(name, "--help")
    assert code == 0
    assert out.startswith(f"Usage: model-manager {name}")


def test_the_list_of_commands_is_printed_without_importing_any() -> None:
    script = (
        "import sys; from model_manager.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print([m for m in sys.modules if m.startswith('model_manager.cli.')])"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert all(name in out for name in COMMANDS)
    assert out.splitlines()[-1] == "['model_manager.cli.main']"


def test_the_version_is_told(call: Call) -> None:
    assert __version__ in call("--version")[1]


def test_a_typo_is_answered_with_the_nearest_command(call: Call) -> None:
    code, _, err = call("statsu")
    assert code == 2
    assert "Did you mean 'status'?" in err


def test_what_is_no_command_at_all_is_refused(call: Call) -> None:
    assert call("frobnicate")[0] == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadSetting(name="MACHINE_ID", why="'a:b' is no id", fix="Use letters."), 78),
        (AWAY, 75),
        (BaseExceptionGroup("loops", [ExceptionGroup("inner", [AWAY])]), 75),
    ],
)
def test_a_typed_failure_is_its_message_and_its_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.setattr(module.program, "main", _raising(error))
    left, out, err = call("status")
    assert (left, out) == (code, "")
    assert err.count("\n") == 1
    assert err.startswith("model-manager: ")
    assert "Traceback" not in err


def test_a_failure_that_is_nobodys_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = BaseExceptionGroup("loops", [ZeroDivisionError("ours")])
    monkeypatch.setattr(module.program, "main", _raising(broken))
    with pytest.raises(BaseExceptionGroup):
        main(["status"])


def test_a_reader_that_left_is_no_failure(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setattr(module.program, "main", _raising(BrokenPipeError()))
    assert call("status") == (0, "", "")


def test_no_space_says_what_to_do(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    error = NoSpace(root="/m", free=1, name="a", need=2, floor=3)
    monkeypatch.setattr(module.program, "main", _raising(error))
    assert "Free space, or lower the floor" in call("status")[2]


def _raising(error: BaseException):
    def main(*_: object, **__: object) -> None:
        raise error

    return main
