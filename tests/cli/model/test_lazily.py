from __future__ import annotations

import importlib
import subprocess
import sys

import click
import pytest

from model_manager.cli import model
from model_manager.cli.model import index
from tests.cli.conftest import Call

LIST = "import sys; from model_manager.cli.main import main\ntry: main({arguments!r})\nexcept SystemExit: print(sorted(sys.modules))"
HEAVY = {"pydantic", "aiohttp", "asyncio", "loguru", "blake3", "redis", "watchfiles", "model_manager.workbench.bench"}


@pytest.mark.parametrize("name", model.COMMANDS)
def test_every_group_is_there_and_helps(name: str, call: Call) -> None:
    code, out, _ = call("model", name, "--help")
    assert (code, out.splitlines()[0][:27]) == (0, f"Usage: model-manager model {name}"[:27])


@pytest.mark.parametrize("name", index.COMMANDS)
def test_every_command_of_the_index_is_there_and_helps(name: str, call: Call) -> None:
    place = f"model_manager.cli.model.{index.COMMANDS[name][0]}"
    assert isinstance(importlib.import_module(place).command, click.Command)
    code, out, _ = call("model", "index", name, "--help")
    assert code == 0
    assert out.startswith(f"Usage: model-manager model index {name}")


def test_a_typo_is_answered_with_the_nearest_command(call: Call) -> None:
    code, _, err = call("model", "index", "duplicatse")
    assert code == 2
    assert "Did you mean 'duplicates'?" in err


def test_what_is_no_command_at_all_is_refused(call: Call) -> None:
    assert call("model", "frobnicate")[0] == 2


def modules_of(*arguments: str) -> set[str]:
    script = LIST.format(arguments=list(arguments))
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(eval(out.splitlines()[-1]))


def test_the_list_of_commands_is_printed_without_importing_any() -> None:
    loaded = modules_of("model", "index", "--help")
    assert {name for name in loaded if name.startswith("model_manager.cli.model.")} == {
        "model_manager.cli.model.index",
        "model_manager.cli.model.lazily",
    }


def test_finding_starts_fast_for_it_imports_nothing_that_it_does_not_need(library) -> None:
    loaded = modules_of("model", "index", "find", "style_2", "--json", "--state-dir", str(library.state))
    assert "model_manager.index.reading" in loaded
    assert not loaded & (HEAVY | {"rich", "yaml"})


@pytest.mark.parametrize("name", ["find", "status", "sync", "duplicates"])
def test_what_the_index_has_is_named_where_people_look_for_it(name: str, call: Call) -> None:
    code, _, err = call("model", name)
    assert (code, f"It is 'model-manager model index {name}'" in err) == (2, True)
