"""Which model does a person mean? One is taken, several are asked about, none suggests the nearest."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from model_manager.cli.model.lines import Line, lines
from model_manager.errors import NoSuchModel, NotFound, printable
from model_manager.facts.known import Detail, Known
from model_manager.index.reading import Shop

SHOWN: Final = 20
"""Candidates that are listed; whoever sees more writes more of the name."""

NEAR: Final = 3
"""Names that a typo suggests."""

FARTHER: Final = 0.1
"""How much less than the nearest a name may resemble a text to be suggested too."""

EVERYWHERE: Final = "/"
"""The folder that all folders are in."""

_LONGEST_ID: Final = 5
"""Digits from which on a number is the beginning of a hash before it is the number of a content."""


def meant(shop: Shop, text: str) -> Line | Detail:
    """The one model that a name, path, address, beginning of a hash or content number means.

    A Detail for a number. Raises NoSuchModel with what is near, click.UsageError when several are meant and nobody
    can be asked.
    """
    plain = text.strip()
    if plain.isdecimal() and len(plain) <= _LONGEST_ID and (found := _numbered(shop, plain)):
        return found
    candidates = _distinct(tuple(lines(shop, searched(shop, plain, limit=SHOWN + 1))))
    if not candidates and (found := _numbered(shop, plain)):
        return found
    if not candidates:
        raise NoSuchModel(name=text, hint=hint(shop, plain))
    exact = [line for line in candidates if plain.lower() in _called(line)]
    candidates = exact or candidates
    return candidates[0] if len(candidates) == 1 else _asked(text, candidates)


def searched(shop: Shop, text: str, *, folder: str | None = None, limit: int) -> tuple[Known, ...]:
    """What a text may mean; where it is in no name, those below a directory that is called so, as diffusers models are."""
    return shop.find(text, folder=folder, limit=limit) or shop.find(text, folder=folder or EVERYWHERE, limit=limit)


def hint(shop: Shop, text: str) -> str:
    """What to try instead of a name that finds nothing."""
    if near := nearest(text, shop.names()):
        quoted = [f"'{printable(name)}'" for name in near]
        return f"Did you mean {' or '.join(quoted)}?"
    return "'model-manager model index list' shows what it has."


def nearest(text: str, names: Sequence[str]) -> list[str]:
    """The names that resemble a text most. Of many names only those are compared that share most with it."""
    wanted = text.lower().rpartition("/")[2]
    pieces = _pieces(wanted)
    shared = {name: len(pieces & _pieces(name)) for name in names}
    likely = sorted(filter(shared.__getitem__, names), key=lambda name: -shared[name])[:200]
    close = sorted(((_likeness(wanted, name), name) for name in likely), key=lambda pair: -pair[0])
    best = max(0.6, close[0][0] - FARTHER) if close else 1.0
    return [name for likeness, name in close if likeness >= best][:NEAR]


def _likeness(text: str, name: str) -> float:
    """0 to 1; the ending may be left out."""
    stem = name.rpartition(".")[0] or name
    return max(difflib.SequenceMatcher(None, text, each).ratio() for each in (name, stem))


def _pieces(text: str) -> set[str]:
    """Every two letters that follow each other."""
    return {text[start : start + 2] for start in range(len(text) - 1)}


def _numbered(shop: Shop, text: str) -> Detail | None:
    if not text.isdecimal() or len(text) > 18:
        return None
    try:
        return shop.show(int(text))
    except NotFound:
        return None


def _distinct(found: Sequence[Line]) -> list[Line]:
    """Each content once, under its shortest name: the same bytes under several names are one model."""
    kept: dict[str | int, Line] = {}
    for line in found:
        key = line.bundle or line.parts[0].content_id
        kept[key] = min(kept.get(key, line), line, key=lambda each: len(each.name))
    return list(kept.values())


def _called(line: Line) -> set[str]:
    """What a person calls a model: its file's name, with its ending or without."""
    name = line.name.lower().rpartition("/")[2]
    return {name, os.path.splitext(name)[0]}


def _asked(text: str, candidates: Sequence[Line]) -> Line:
    shown = [f"  {number}  {_said(line)}" for number, line in enumerate(candidates[:SHOWN], 1)]
    more = ["  and more"] if len(candidates) > SHOWN else []
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        head = f"'{printable(text)}' may be one of several; write more of it, its path or its hash:"
        raise click.UsageError("\n".join([head, *shown, *more]))
    click.echo("\n".join([*shown, *more]), err=True)
    return candidates[click.prompt("Which one", type=click.IntRange(1, len(shown)), err=True) - 1]


def _said(line: Line) -> str:
    digests = line.first.digests
    known = f"  {digests.named('autov2')}" if digests and digests.sha256 and not line.bundle else ""
    return printable(f"{line.folder}/{line.name}") + known
