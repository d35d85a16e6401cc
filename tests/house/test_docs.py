"""Documents that a change can make untrue are held against the code."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from model_manager.settings import names
from tests.house.tree import ROOT, name_of

README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
SCRIPT = re.compile(r"(?<![\w/.])(?:\.ci|scripts)/[a-z_]+")
VARIABLE = re.compile(r"\bMODEL_(?:MANAGER|DOWNLOAD)_[A-Z_]+\b")
NOT_SETTINGS = re.compile(r"MODEL_MANAGER_(?:TEST_\w+|SETTINGS)$|\w+_FILE$|\w+_$")


@pytest.mark.parametrize("script", ["scripts/run", "scripts/test"])
def test_the_two_commands_are_on_the_first_screen_and_can_be_run(script: str) -> None:
    assert script in "\n".join(README.read_text().splitlines()[:50])
    assert os.access(ROOT / script, os.X_OK)


def test_every_script_can_be_executed() -> None:
    idle = [
        name_of(file)
        for file in (*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run")
        if not file.stat().st_mode & stat.S_IXUSR
    ]
    assert not idle


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [
        target for target in LINK.findall(page.read_text()) if "://" not in target and not target.startswith("mailto:")
    ]
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_scripts_and_variables_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    assert not [script for script in SCRIPT.findall(text) if not (ROOT / script).exists()]
    variables = {name for name in VARIABLE.findall(text) if not NOT_SETTINGS.search(name)}
    assert not variables - names().keys()


def test_the_settings_page_names_every_variable() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert not [name for name in names() if f"`{name}`" not in page]
