"""`model-manager model index verify`"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.model.choosing import meant
from model_manager.cli.model.counting import counted
from model_manager.cli.model.doing import Agent, done
from model_manager.cli.model.gauge import Gauge
from model_manager.cli.model.lines import Line
from model_manager.cli.model.opening import opened
from model_manager.cli.model.shapes import print_json
from model_manager.cli.model.verified import Verdict, judged
from model_manager.errors import BadRequest, Corrupt, DiskUnavailable, printable
from model_manager.index.reading import Shop

if TYPE_CHECKING:
    from model_manager.agent.board import Board
    from model_manager.agent.holdings.shelves import Shelves
    from model_manager.facts.disk import Held
    from model_manager.workbench.bench import Workbench

SELDOM: Final = 0.5
"""Seconds between two counts of what is read."""

SHOWN: Final = 20
"""Files that could not be read whose names are shown: a directory may be away."""

AT_ONCE: Final = 15
"""Files that one question names: the agent takes 64 KiB, a path may have 4096 bytes."""


@click.command()
@click.argument("what", nargs=-1)
@state_option
@json_option
def command(what: tuple[str, ...], state_dir: Path | None, as_json: bool) -> None:
    """Read WHAT whole once more, or every model whose hashes are known, and compare.

    Exit code 74 when bytes are not what they were. An agent does it behind, and fetches again what it can.
    """
    with opened(state_dir) as shop:
        files = sorted({file for each in what for file in _files(shop, each)}) or None
        if what and not files:
            why = "none of these files was read yet, so that there is nothing to compare"
            raise BadRequest(why=why, fix="'model-manager model index sync' reads them.")
    with Gauge("read again") as gauge:
        verdict = done(
            state_dir,
            agent=lambda agent: _by_agent(agent, files),
            bench=lambda bench: _by_bench(bench, files, gauge),
        )
    if isinstance(verdict, int):
        _say_behind(verdict, as_json)
        return
    print_json(verdict.shape()) if as_json else _print(verdict)
    if verdict.rotten or verdict.unread:
        sys.exit(Corrupt.exit_code if verdict.rotten else DiskUnavailable.exit_code)


def _files(shop: Shop, text: str) -> list[str]:
    """The read files that a text means: every place of a content, or the one whose path it is."""
    found = meant(shop, text)
    if not isinstance(found, Line):
        known = found.locations
    elif found.bundle or found.file == text:
        known = found.parts
    else:
        known = shop.show(found.parts[0].content_id).locations
    return [each.file for each in known if each.digests]


def _by_agent(agent: Agent, files: Sequence[str] | None) -> int:
    """How many files wait now."""
    parts = [{}] if files is None else [{"files": files[at : at + AT_ONCE]} for at in range(0, len(files), AT_ONCE)]
    return [int(agent.post("/verify", part)["files"]) for part in parts][-1]


async def _by_bench(bench: Workbench, files: Sequence[str] | None, gauge: Gauge) -> Verdict:
    before = dict(bench.shelves.held)
    asked = [file for file in (before if files is None else files) if file in before and before[file].digests]
    gauge.say(f"reading {counted(len(asked), 'file')}")
    begun = time.monotonic()
    rotten = await bench.verify(asked, watch=Rereading(gauge, before, asked).look)
    seconds = round(time.monotonic() - begun, 3)
    return judged(asked, rotten, bench.verifying.unread, seconds)


class Rereading:
    """Shows how many of the files were read again: what is known of them changed."""

    def __init__(self, gauge: Gauge, before: Mapping[str, Held], asked: Sequence[str]) -> None:
        self._gauge = gauge
        self._before = before
        self._left = list(asked)
        self._files, self._bytes = len(asked), self._size()
        self._due = 0.0

    def look(self, _board: Board, shelves: Shelves) -> None:
        """Called often: counts seldom."""
        if (now := time.monotonic()) < self._due:
            return
        self._due = now + SELDOM
        self._left = [file for file in self._left if shelves.held.get(file) is self._before[file]]
        self._gauge.show(self._files - len(self._left), self._files, self._bytes - self._size(), self._bytes)

    def _size(self) -> int:
        return sum(self._before[file].fingerprint.size for file in self._left)


def _say_behind(files: int, as_json: bool) -> None:
    if as_json:
        print_json({"accepted": True, "files": files})
        return
    click.echo(f"the agent reads {counted(files, 'file')}; 'model-manager events --follow' shows what is found")


def _print(verdict: Verdict) -> None:
    for file in verdict.rotten:
        click.echo(f"rotten: {printable(file)}: its bytes are not what they were; fetch it again, or restore it")
    for file, why in islice(verdict.unread.items(), SHOWN):
        click.echo(f"not read: {printable(file)}: {printable(why, 400)}; sync, and verify again")
    if (more := len(verdict.unread) - SHOWN) > 0:
        click.echo(f"not read: {counted(more, 'more file')}; --json names them")
    word = "all as they were" if not (verdict.rotten or verdict.unread) else f"{len(verdict.sound):,} as they were"
    click.echo(f"{counted(verdict.files, 'file')}, {word}, {verdict.seconds:.1f} s")
