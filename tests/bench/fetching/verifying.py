"""What a user runs after a download to know that the bytes are right: the fastest of the usual programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.fetching.cells import Algorithm
from tests.bench.fetching.files import Source
from tests.bench.fetching.running import Run, run
from tests.bench.fetching.tools import Tool, Tools

MAPPED: Final = (
    "import sys, blake3\nfor p in sys.argv[1:]: print(blake3.blake3(max_threads=-1).update_mmap(p).hexdigest())"
)
"""Where b3sum cannot be had: the same hash in Python, all threads, from a mapped file."""

Commands = Callable[[Sequence[str]], list[list[str]]]


class WrongBytes(Exception):
    """A contender brought other bytes than the origin has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A way to hash files: one process or several side by side; each line that they print begins with a digest."""

    name: str
    algorithm: Algorithm
    commands: Commands
    tool: Tool

    def verify(self, files: Sequence[Source], directory: Path) -> Run:
        """Hash what was brought into a directory. Raises WrongBytes."""
        cost, said = run(*self.commands([str(directory / file.name) for file in files]), env=self.tool.env)
        got = sorted(line.split()[0].lstrip("\\") for text in said for line in text.splitlines())
        if got != sorted(file.digest(self.algorithm) for file in files):
            raise WrongBytes(f"{self.name}: the files in {directory} are not those of the origin")
        return cost


def fastest(tools: Tools, algorithm: Algorithm, files: Sequence[Source]) -> Verifier:
    """The one that hashes the origin's own files in the shortest time."""
    candidates = _sha256(tools) if algorithm == "sha256" else _blake3(tools)
    return min(candidates, key=lambda one: one.verify(files, files[0].path.parent).seconds)


def alone(tools: Tools) -> Verifier | None:
    """`openssl dgst -sha256`, one process: as fast as one file can be hashed."""
    return next((one for one in _sha256(tools) if one.name == "openssl"), None)


def _sha256(tools: Tools) -> list[Verifier]:
    found = [Verifier(name="sha256sum", algorithm="sha256", commands=_spread("sha256sum"), tool=Tool(path="sha256sum"))]
    if tools.openssl:
        spread = _spread(tools.openssl.path, "dgst", "-sha256", "-r")
        found.append(Verifier(name="openssl", algorithm="sha256", commands=spread, tool=tools.openssl))
    return found


def _blake3(tools: Tools) -> list[Verifier]:
    """b3sum uses every core for one file, which pays for large ones; small ones want one process a core."""
    name, tool, program = (
        ("b3sum", tools.b3sum, [tools.b3sum.path])
        if tools.b3sum
        else ("python blake3", Tool(path=sys.executable), [sys.executable, "-c", MAPPED])
    )
    return [
        Verifier(name=name, algorithm="blake3", commands=lambda paths: [[*program, *paths]], tool=tool),
        Verifier(name=name, algorithm="blake3", commands=_spread(*program), tool=tool),
    ]


def _spread(*program: str) -> Commands:
    """As many processes as cores, the files dealt out among them."""
    cores = os.cpu_count() or 1

    def commands(paths: Sequence[str]) -> list[list[str]]:
        return [[*program, *paths[n::cores]] for n in range(min(cores, len(paths)))]

    return commands
