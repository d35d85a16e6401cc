"""A test file for each source file, so that the place of a test is known from the place of the code."""

from __future__ import annotations

from pathlib import Path

from tests.house.tree import PACKAGE, ROOT, modules, name_of

ELSEWHERE: dict[str, str] = {
    "model_manager/sources/origin.py": "the port: tests/conformance holds every origin against it",
    "model_manager/catalog/migrations/v0001_first.py": "tests/catalog/test_migrating.py goes up and down with records",
    "model_manager/catalog/migrations/v0002_versions.py": "tests/catalog/test_migrating.py, the same",
    "model_manager/catalog/migrations/v0003_answers.py": "tests/catalog/test_migrating.py, the same",
    "model_manager/catalog/migrations/v0004_checkups.py": "tests/catalog/test_migrating.py, the same",
    "model_manager/catalog/migrations/v0005_sought.py": "tests/catalog/test_migrating.py, the same",
    "model_manager/agent/run.py": "tests/stories run the whole agent in a process of its own, signals and kills included",
}
"""Source files without a test file of their own, and where they are tested."""

PROVED = tuple(file for file in modules() if file.name not in ("__init__.py", "__main__.py"))


def mirror_of(file: Path) -> Path:
    place = file.relative_to(PACKAGE)
    return ROOT / "tests" / place.parent / f"test_{place.name}"


def test_every_source_file_has_its_test_file() -> None:
    missing = [
        name_of(mirror_of(file)) for file in PROVED if not mirror_of(file).exists() and name_of(file) not in ELSEWHERE
    ]
    assert not missing, "write these, or say in ELSEWHERE where their source is tested"


def test_the_list_of_exceptions_is_short_and_true() -> None:
    assert len(ELSEWHERE) <= 12
    untrue = [name for name in ELSEWHERE if not (ROOT / name).exists() or mirror_of(ROOT / name).exists()]
    assert not untrue


def test_every_test_directory_is_a_package() -> None:
    """Two rooms may each have a `test_reading.py`; without packages one would hide the other."""
    bare = {
        name_of(file.parent) for file in (ROOT / "tests").rglob("*.py") if not (file.parent / "__init__.py").exists()
    }
    assert not bare
