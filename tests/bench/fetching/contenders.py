"""Who fetches: ours, and each peer with the command that its users would type."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.bench.fetching.cells import PEER_ROUNDS, SLOWEST_ROUNDS, Algorithm, Cell
from tests.bench.fetching.files import Source
from tests.bench.fetching.origin import Origin
from tests.bench.fetching.running import Run, run
from tests.bench.fetching.tools import Tool, Tools

AT_ONCE: Final = 8
"""Files that everybody fetches at a time."""

HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One job: these files of the origin into an empty directory. `home` is for the lists that programs read."""

    cell: Cell
    files: Sequence[Source]
    origin: Origin
    store: Path
    home: Path
    tls: bool

    @property
    def touch(self) -> int:
        """Bytes of memory to touch before the first byte comes; programs in Python do it once more when they have started."""
        return self.cell.shape.count * self.cell.shape.size if self.cell.tmpfs else 0

    def url(self, file: Source) -> str:
        return self.origin.url(self.cell, file.name, tls=self.tls)

    def listed(self, name: str, lines: Sequence[str]) -> str:
        """A file with these lines, beside the store."""
        path = self.home / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    def order(self, algorithm: Algorithm | None = None, **more: Any) -> str:
        """The job as a JSON file; `algorithm` pins each file by that digest."""
        files = [
            {"name": file.name, "url": self.url(file), "size": file.size}
            | ({"pin": f"{algorithm}:{file.digest(algorithm)}"} if algorithm else {})
            for file in self.files
        ]
        content = {
            "store": str(self.store),
            "touch": self.touch,
            "files": files,
            "concurrency": AT_ONCE,
            "ca_file": str(self.origin.ca_file),
        }
        return self.listed("order.json", [json.dumps(content | more)])


def ours(work: Work, algorithm: Algorithm) -> Run:
    """Fetched, verified, synced and placed."""
    order = work.order(algorithm, state=str(work.home / "state"))
    return run((sys.executable, "-m", "tests.bench.fetching.driver", order))[0]


def disk_alone(work: Work) -> Run:
    """As many bytes by the calls that ours writes with, and nothing else."""
    shape = work.cell.shape
    program = (sys.executable, "-m", "tests.bench.fetching.writing")
    return run((*program, str(work.store), str(shape.count), str(shape.size)))[0]


def synced(work: Work) -> Run:
    """What a peer left to the page cache reaches the disk."""
    return run(("sync", "--file-system", str(work.store)))[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A downloader; what it brought is verified by another program."""

    name: str
    tool: Tool
    command: Callable[[Work], Sequence[str]]
    rounds: int = PEER_ROUNDS
    env: Callable[[Work], Mapping[str, str]] = field(default=lambda work: {})

    def fetch(self, work: Work) -> Run:
        return run((self.tool.path, *self.command(work)), env={**self.tool.env, **self.env(work)})[0]


def peers(tools: Tools) -> tuple[tuple[Peer, ...], tuple[str, ...]]:
    """Those that are here, and the names of those that are not."""
    known: list[tuple[str, Tool | None, Callable[[Work], Sequence[str]], int]] = [
        ("curl", tools.curl, _curl, PEER_ROUNDS),
        ("aria2c", tools.aria2c, _aria2c, SLOWEST_ROUNDS),
        ("aria2c x16", tools.aria2c, _aria2c_x16, PEER_ROUNDS),
        ("huggingface_hub", tools.python, _python("hub_http.py"), SLOWEST_ROUNDS),
        ("aiohttp", tools.python, _python("aiohttp_loop.py"), PEER_ROUNDS),
    ]
    here = tuple(
        Peer(name=name, tool=tool, command=command, rounds=rounds, env=_trusting)
        for name, tool, command, rounds in known
        if tool
    )
    return here, tuple(name for name, tool, *_ in known if not tool)


def _curl(work: Work) -> Sequence[str]:
    lines = [f'url = "{work.url(file)}"\noutput = "{work.store / file.name}"' for file in work.files]
    several = ("--parallel", "--parallel-max", str(AT_ONCE)) if len(lines) > 1 else ()
    return "-q", "-sSf", *several, "--cacert", str(work.origin.ca_file), "-K", work.listed("curl.txt", lines)


def _aria2c(work: Work) -> Sequence[str]:
    urls = work.listed("aria2.txt", [f"{work.url(file)}\n  out={file.name}" for file in work.files])
    ca = f"--ca-certificate={work.origin.ca_file}"
    return "--no-conf", "--quiet", ca, f"--dir={work.store}", f"--input-file={urls}"


def _aria2c_x16(work: Work) -> Sequence[str]:
    return *_aria2c(work), "-x16", "-s16", "-k1M", f"-j{AT_ONCE}"


def _python(script: str) -> Callable[[Work], Sequence[str]]:
    return lambda work: (str(HERE / script), work.order())


def _trusting(work: Work) -> Mapping[str, str]:
    return {"SSL_CERT_FILE": str(work.origin.ca_file), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
