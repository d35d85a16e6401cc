"""`model-manager model index sync`"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.channel import state_directory
from model_manager.cli.model.comparing import Before, compared, remembered
from model_manager.cli.model.counting import counted
from model_manager.cli.model.directories import path_of
from model_manager.cli.model.doing import LOG, Agent, done
from model_manager.cli.model.following import Status, reading, scanned
from model_manager.cli.model.gauge import Gauge
from model_manager.cli.model.opening import opened, say_what_next
from model_manager.cli.model.shapes import print_json, statistics_shape
from model_manager.errors import BadRequest, NoIndex, printable
from model_manager.facts.statistics import Statistics

if TYPE_CHECKING:
    from model_manager.agent.board import Board
    from model_manager.agent.holdings.shelves import Shelves
    from model_manager.index.reading import Shop
    from model_manager.settings import Settings
    from model_manager.workbench.bench import Workbench

LOOKING: Final = "looking through the directories"
SELDOM: Final = 0.5
"""Seconds between two sums over what is left to read."""


@click.command()
@click.argument("directories", nargs=-1, metavar="[DIRECTORY]...")
@click.option("--no-read", is_flag=True, help="Only names and what is said of them; files are read later.")
@click.option("--online", is_flag=True, help="Ask CivitAI, by hash, what nothing on this machine says.")
@state_option
@json_option
def command(directories: tuple[str, ...], no_read: bool, online: bool, state_dir: Path | None, as_json: bool) -> None:
    """Look through every tracked DIRECTORY, or those that you name (a path, or a number in 'dir list'), then read the files in
    them that nobody has read. Ctrl-C keeps what is learnt."""
    only = _named(directories, state_dir)
    with Gauge("read") as gauge:
        statistics, behind = done(
            state_dir,
            agent=lambda agent: (_by_agent(agent, Asked(state_dir, not no_read, only), online, gauge), True),
            bench=lambda bench: _by_bench(bench, not no_read, only, gauge),
            settle=_online if online else _as_is,
        )
    if as_json:
        print_json(statistics_shape(statistics, described=not behind))
        return
    _print(statistics, state_dir, behind)


@dataclass(frozen=True, slots=True)
class Asked:
    """`only`: the tracked directories that are meant, None for all."""

    state_dir: Path | None
    read: bool
    only: frozenset[str] | None

    def means(self, directory: str) -> bool:
        return self.only is None or directory in self.only


def _named(directories: tuple[str, ...], state_dir: Path | None) -> frozenset[str] | None:
    if not directories:
        return None
    with opened(state_dir) as shop:
        return frozenset(path_of(shop.directories(), each) for each in directories)


async def _by_bench(bench: Workbench, read: bool, only: frozenset[str] | None, gauge: Gauge) -> tuple[Statistics, bool]:
    gauge.say(LOOKING)
    return await bench.sync(read=read, watch=Watching(gauge, only).look, only=only), False


class Watching:
    """Shows how much of what was unread at the first look is read; `only` of these directories."""

    def __init__(self, gauge: Gauge, only: frozenset[str] | None = None) -> None:
        self._gauge = gauge
        self._only = only
        self._due = 0.0
        self._files = self._bytes = 0

    def look(self, _board: Board, shelves: Shelves) -> None:
        """Called often: sums seldom."""
        if (now := time.monotonic()) < self._due:
            return
        self._due = now + SELDOM
        unread = (shelves.held[file] for files in shelves.unread.values() for file in files)
        left = [held.fingerprint.size for held in unread if self._only is None or held.root in self._only]
        self.show(len(left), sum(left))

    def show(self, files: int, left: int) -> None:
        """`files` with `left` bytes are still to be read; more of them may come."""
        self._files, self._bytes = max(self._files, files), max(self._bytes, left)
        self._gauge.show(self._files - files, self._files, self._bytes - left, self._bytes)


def _by_agent(agent: Agent, asked: Asked, online: bool, gauge: Gauge) -> Statistics:
    """An agent looks at all of its directories; those that are meant are waited for and counted."""
    if online:
        why = "an agent runs here, and whether it asks CivitAI is its own setting"
        raise BadRequest(why=why, fix="Set MODEL_MANAGER_METADATA=civitai for it, and 'model-manager reload'.")
    begun = time.monotonic()
    before = _remembered(asked)
    gauge.say(LOOKING)
    status = scanned(agent, lambda: agent.post("/scan", {}))
    if asked.read:
        status = _watched(agent, asked, gauge)
    with opened(asked.state_dir) as shop:
        now = remembered(shop, asked.only)
        unread = status["inventory"]["unhashed"] if asked.only is None else _unread(now)
        errors = (unread if asked.read else 0) + sum(map(asked.means, status["lost_roots"]))
        errors += sum(each.unreadable for each in shop.directories() if each.state == "here" and asked.means(each.path))
        found = compared(before, now, skipped=unread, errors=errors)
    return replace(found, seconds=round(time.monotonic() - begun, 3))


def _remembered(asked: Asked) -> Before:
    try:
        with opened(asked.state_dir) as shop:
            return remembered(shop, asked.only)
    except NoIndex:
        return {}


def _watched(agent: Agent, asked: Asked, gauge: Gauge) -> Status:
    """The agent's last status, once it has nothing left to read of what is meant."""
    status, due, watching = agent.status(), 0.0, Watching(gauge)
    with opened(asked.state_dir) as shop:
        for seen in reading(agent):
            status = seen
            if (now := time.monotonic()) >= due:
                due = now + SELDOM
                files, left = _left(shop, asked.only)
                watching.show(files, left)
                if not files:
                    break
    return status


def _left(shop: Shop, only: frozenset[str] | None) -> tuple[int, int]:
    """Files that nobody has read, and their bytes."""
    if only is None:
        summary = shop.summary()
        return summary.files - summary.read, summary.unread_bytes
    sizes = [mark.size for mark, read in remembered(shop, only).values() if not read]
    return len(sizes), sum(sizes)


def _unread(now: Before) -> int:
    return sum(not read for _, read in now.values())


def _online(settings: Settings) -> Settings:
    return settings.model_copy(update={"metadata": "civitai"})


def _as_is(settings: Settings) -> Settings:
    return settings


def _print(statistics: Statistics, state_dir: Path | None, behind: bool) -> None:
    told = "" if behind else f", {statistics.described:,} described"
    click.echo(
        f"{counted(statistics.total, 'model file')}: {statistics.added:,} added, {statistics.updated:,} updated, "
        f"{statistics.removed:,} removed{told}"
    )
    click.echo(
        f"{statistics.hashes_calculated:,} hashed, {statistics.hashes_skipped:,} still to be, "
        f"{counted(statistics.errors, 'error')}, {statistics.seconds:.1f} s"
    )
    if statistics.errors:
        log = state_directory(state_dir, os.environ) / LOG
        click.echo(
            f"'model-manager model index status' says what could not be read, and why; so does {printable(log, 4096)}",
            err=True,
        )
    with opened(state_dir) as shop:
        say_what_next(shop)
