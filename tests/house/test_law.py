"""The law of the house, as far as a machine can read it."""

from __future__ import annotations

import ast
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import (
    EDGES,
    PACKAGE,
    ROOT,
    class_of,
    functions,
    is_record,
    length,
    modules,
    name_of,
    our_imports,
    parsed,
)

FORBIDDEN_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "base",
    "misc",
    "managers",
    "manager",
    "services",
    "service",
}

HANDLES = {
    "Hasher": "one per file that is hashed",
    "Partial": "one per download",
}
"""Classes of edges that programs make as they go, and why they are no edge themselves."""

BUILD_NO_EDGES = tuple(
    file for file in modules("agent", "workbench", "fleet", "catalog", "sample") if file.name != "run.py"
)


def test_the_import_law_holds() -> None:
    lint = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert lint, "lint-imports is not installed beside this Python; run scripts/setup test"
    result = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_room_or_file_is_named_after_nothing() -> None:
    names = {part for file in modules() for part in file.relative_to(PACKAGE).with_suffix("").parts}
    assert not names & FORBIDDEN_NAMES


def test_no_room_is_empty() -> None:
    rooms = {file.parent for file in modules() if file.name == "__init__.py" and file.parent != PACKAGE}
    empty = {name_of(room) for room in rooms if not [file for file in room.glob("*.py") if file.name != "__init__.py"]}
    assert not empty


@pytest.mark.parametrize("file", modules("facts", "decisions"), ids=name_of)
def test_facts_and_decisions_never_wait(file: Path) -> None:
    waits = [node.name for node in functions(file) if isinstance(node, ast.AsyncFunctionDef)]
    assert not waits


@pytest.mark.parametrize("file", modules(*EDGES), ids=name_of)
def test_edges_read_no_environment(file: Path) -> None:
    looks = [ast.unparse(node) for node in ast.walk(parsed(file)) if isinstance(node, (ast.Attribute, ast.Name))]
    assert not [look for look in looks if look in ("os.environ", "os.getenv", "environ", "getenv")]


@pytest.mark.parametrize("file", BUILD_NO_EDGES, ids=name_of)
def test_only_run_builds_edges(file: Path) -> None:
    assert not list(_edges_built_in(file))


def _edges_built_in(file: Path) -> Iterator[str]:
    edges = {here for module, name, here in our_imports(file) if _is_edge(module, name)}
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Call):
            made = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            if isinstance(made, ast.Name) and made.id in edges:
                yield f"{name_of(file)}:{node.lineno} {ast.unparse(node.func)}"


def _is_edge(module: str, name: str) -> bool:
    if module.split(".")[1] not in EDGES or name in HANDLES:
        return False
    found = class_of(module, name)
    return found is not None and not is_record(found)


@pytest.mark.parametrize("file", modules(), ids=name_of)
def test_modules_hold_no_instances(file: Path) -> None:
    """A module is imported, not started: what it makes at import can be neither replaced nor closed."""
    known = {here: class_of(module, name) for module, name, here in our_imports(file)}
    known |= {node.name: node for node in parsed(file).body if isinstance(node, ast.ClassDef)}
    made = [
        f"{name_of(file)}:{node.lineno}"
        for node in parsed(file).body
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call)
        if isinstance(node.value.func, ast.Name) and (found := known.get(node.value.func.id)) and not is_record(found)
    ]
    assert not made


@pytest.mark.parametrize("file", modules(), ids=name_of)
def test_files_and_functions_stay_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400
    long = {f"{node.name} ({length(node)} lines)" for node in functions(file) if length(node) > 60}
    assert not long


def test_most_functions_are_very_short() -> None:
    assert statistics.median(length(node) for file in modules() for node in functions(file)) < 10
