"""Words that have no place in what is kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.tree import kept_files, name_of

# Each pattern is written so that it does not find itself.
UNFINISHED = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b|NotImplementedErro[r]")
MACHINE_PATHS = re.compile(r"/work/(?:main|share[d]|steering)|HOUS[E]\.md|[.]{2}/share[d]")
REGISTRIES = re.compile(
    r"py[p]i\.(?:org|python)|pythonhoste[d]\.org|registry\.(?:npm[j]s|yar[n]pkg)|--(?:extra-)?index-ur[l]|\"resolve[d]\": *\"http",
    re.IGNORECASE,
)
SWALLOWED = re.compile(
    r"except(?: Exception| BaseException)?(?: as \w+)?:\s*(?:#[^\n]*)?\n?\s*(?:pass|\.\.\.)\s*(?:#[^\n]*)?$",
    re.MULTILINE,
)
SECRETS = re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")

TEXTS = tuple(file for file in kept_files() if file.suffix not in (".png", ".svg", ".safetensors", ".gif"))


@pytest.mark.parametrize(
    "words", [UNFINISHED, MACHINE_PATHS, REGISTRIES, SECRETS], ids=["unfinished", "paths", "registries", "secrets"]
)
def test_no_forbidden_words(words: re.Pattern[str]) -> None:
    found = [f"{name_of(file)}: {hit.group()}" for file in TEXTS for hit in words.finditer(_text(file))]
    assert not found


def test_no_failure_is_swallowed_whole() -> None:
    found = [name_of(file) for file in TEXTS if file.suffix == ".py" and SWALLOWED.search(_text(file))]
    assert not found


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (UNFINISHED, "# TO" + "DO later"),
        (MACHINE_PATHS, "see /work/sha" + "red/x"),
        (REGISTRIES, "https://py" + "pi.org/simple"),
        (SECRETS, "hf_" + "a" * 34),
        (SWALLOWED, "try:\n    x()\nexcept Exception:\n    pa" + "ss\n"),
    ],
)  # fmt: skip
def test_the_patterns_find_what_they_are_for(words: re.Pattern[str], text: str) -> None:
    assert words.search(text)


def _text(file: Path) -> str:
    return file.read_text(errors="replace")
