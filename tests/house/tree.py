"""The source tree as the house tests look at it."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "model_manager"
EDGES = ("sources", "library", "neighbours", "index", "bus", "serving", "tracing")


def modules(*rooms: str) -> tuple[Path, ...]:
    """Our Python files, of all rooms or of those named."""
    places = [PACKAGE / room for room in rooms] or [PACKAGE]
    return tuple(sorted(file for place in places for file in place.rglob("*.py")))


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def kept_files() -> tuple[Path, ...]:
    """What is, or would be, committed."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return tuple(ROOT / line for line in listing if (ROOT / line).is_file())


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(file)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def our_imports(file: Path) -> Iterator[tuple[str, str, str]]:
    """(module, name there, name here) of everything imported from our own package."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("model_manager."):
            yield from ((node.module or "", alias.name, alias.asname or alias.name) for alias in node.names)


def class_of(module: str, name: str) -> ast.ClassDef | None:
    """The class `name` as its module defines it, if it does."""
    file = ROOT / (module.replace(".", "/") + ".py")
    if not file.exists():
        return None
    return next((node for node in parsed(file).body if isinstance(node, ast.ClassDef) and node.name == name), None)


def is_record(node: ast.ClassDef) -> bool:
    """Frozen dataclasses, exceptions, enumerations and ports own nothing: anybody may make one."""
    frozen = any("frozen=True" in ast.unparse(decorator) for decorator in node.decorator_list)
    plain = (
        "Error",
        "Exception",
        "Enum",
        "Protocol",
        "NamedTuple",
        "Refused",
        "Unavailable",
        "Corrupt",
        "Broken",
        "str",
    )
    return frozen or any(ast.unparse(base).endswith(plain) for base in node.bases)
