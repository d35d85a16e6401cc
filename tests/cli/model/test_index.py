from __future__ import annotations

from model_manager.cli.model.index import COMMANDS
from tests.cli.conftest import Call


def test_the_help_says_what_each_command_does(call: Call) -> None:
    _, out, _ = call("model", "index", "--help")
    assert all(f"  {name} " in out for name in COMMANDS)
    assert "Bytes that lie on the disk more than once" in out
