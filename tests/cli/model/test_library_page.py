"""The pages that a person follows are held against the commands."""

from __future__ import annotations

import importlib
import re
import shlex

import click
import pytest

from model_manager.cli.main import program
from tests.house.tree import ROOT

PAGES = (ROOT / "docs" / "library.md", ROOT / "README.md")
LINES = sorted(
    {
        line.partition("#")[0].strip()
        for page in PAGES
        for line in page.read_text().splitlines()
        if line.startswith("model-manager model ")
    }
)


@pytest.mark.parametrize("line", LINES)
def test_every_line_that_can_be_copied_is_a_command(line: str) -> None:
    command, rest = resolved(shlex.split(line)[1:])
    command.make_context(command.name or "", rest).close()


def resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and the rest of them."""
    found: click.Command = program
    while isinstance(found, click.Group):
        inner = found.get_command(click.Context(found), words[0])
        assert inner is not None, words
        found, words = inner, words[1:]
    return found, words


def test_every_command_of_the_library_is_on_its_page() -> None:
    page = PAGES[0].read_text()
    for group in ("dir", "index"):
        found = importlib.import_module(f"model_manager.cli.model.{group}").command
        names = found.list_commands(click.Context(found))
        assert not [name for name in names if not re.search(rf"model {group} {name}\b", page)]


def test_the_statistics_on_the_page_are_those_that_are_printed() -> None:
    from model_manager.cli.model.shapes import statistics_shape
    from tests.cli.model.test_shapes import SEEN

    page = PAGES[0].read_text()
    assert not [name for name in statistics_shape(SEEN) if f"`{name}`" not in page]
