"""Models in a table that a person reads, 80 columns wide or more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from model_manager.cli.figures import size_text, time_text
from model_manager.cli.model.lines import Line
from model_manager.errors import printable
from model_manager.facts.directory import Directory, Remark
from model_manager.facts.known import Known

WIDE: Final = 110
"""Columns from which on a model's line says what it is."""

_STYLES: Final = {
    "verified": "green",
    "odd": "red",
    "to read": "yellow",
    "unreadable": "red",
    "here": "green",
    "away": "red",
}
_RIGHT: Final = frozenset({"#", "size", "files"})


def console() -> Console:
    return Console(highlight=False, soft_wrap=False)


def table(*names: str) -> Table:
    made = Table(box=None, pad_edge=False)
    for name in names:
        right = name in _RIGHT
        made.add_column(name, overflow="fold", justify="right" if right else "left", no_wrap=right)
    return made


def print_models(lines: Iterable[Line]) -> None:
    """One line each; what it is only where there is room."""
    screen = console()
    wide = screen.width >= WIDE
    made = table("model", "size", "hash", "state", *(("type", "base model") if wide else ()))
    for line in lines:
        first = line.first
        what = (Text(printable(first.type)), Text(printable(first.base_model, 40)))
        made.add_row(
            Text(printable(f"{line.folder}/{line.name}")),
            size_text(line.size),
            "" if line.bundle else short_hash(first),
            state(line),
            *(what if wide else ()),
        )
    screen.print(made)


def short_hash(known: Known) -> str:
    """AutoV2: what CivitAI and the web UIs show. The quick hash is a hint, and says so by its sign."""
    if known.digests:
        return known.digests.named("autov2") or (known.digests.blake3 or "")[:10]
    return f"~{known.quick[:9]}" if known.quick else ""


def state(line: Line) -> Text:
    """Whether it is read and right, and whether loading it can run code; of several files also how many."""
    word = "verified" if line.verified else "odd" if line.read else "unreadable" if line.trouble else "to read"
    risk = Text(", pickle" if line.runs_code else "", style="yellow")
    count = f"{len(line.parts)} of {line.shards}" if line.incomplete else str(len(line.parts))
    files = Text(f", {count} files", style="red" if line.incomplete else "")
    return Text.assemble((word, _STYLES[word]), risk, files if count != "1" else "")


def print_directories(directories: Iterable[Directory]) -> None:
    made = table("#", "directory", "as", "state", "files", "size", "seen", "by")
    now = datetime.now(UTC)
    for number, each in enumerate(directories, 1):
        made.add_row(
            str(number),
            Text(printable(each.path)),
            Text(printable(each.folder or "models")),
            Text(each.state, style=_STYLES.get(each.state, "yellow")),
            f"{each.files:,}",
            size_text(each.bytes),
            ago(each.scanned_at, now),
            each.tracked_by,
        )
    console().print(made)


def ago(moment: str, now: datetime) -> str:
    """How long ago an ISO 8601 moment was: '3m10s ago'; 'never' for none."""
    if not moment:
        return "never"
    seconds = (now - datetime.fromisoformat(moment)).total_seconds()
    return f"{int(seconds // 86400)}d ago" if seconds >= 172_800 else f"{time_text(max(0, seconds))} ago"


def print_whys(directories: Iterable[Directory]) -> None:
    """Why directories are away."""
    for each in directories:
        if each.why:
            line = f"! {printable(each.path)} is away: {printable(each.why, 400)}"
            console().print(Text(line, style="red"), soft_wrap=True)


def print_remarks(directories: Iterable[Directory]) -> None:
    """What the last look at each directory left out."""
    for each in directories:
        if each.unreadable:
            _print_left_out(
                f"! {printable(each.path)}: {each.unreadable:,} that cannot be looked at; what is known there stays. "
                "Let the account that looks read it:",
                [remark for remark in each.remarks if remark.unreadable],
                each.unreadable,
            )
        if each.passed_over:
            _print_left_out(
                f"  {printable(each.path)}: {each.passed_over:,} with a model's name left out:",
                [remark for remark in each.remarks if not remark.unreadable],
                each.passed_over,
            )


def _print_left_out(title: str, remarks: Sequence[Remark], number: int) -> None:
    screen = console()
    screen.print(Text(title, style="red" if title.startswith("!") else ""), soft_wrap=True)
    for remark in remarks:
        screen.print(Text(f"    {printable(remark.path, 4096)}: {printable(remark.why)}"), soft_wrap=True)
    if number > len(remarks):
        screen.print(Text(f"    and {number - len(remarks):,} more"), soft_wrap=True)
