"""What `--json` prints: stable names, sizes in bytes, times in ISO 8601 UTC, hashes as hex, null for what is not known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, get_args

import click

from model_manager.cli.model.lines import Line
from model_manager.facts.directory import Directory
from model_manager.facts.identity import Algorithm, Digests
from model_manager.facts.known import Detail, Known, Missing, Summary
from model_manager.facts.statistics import Statistics


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def print_array(items: Iterable[Mapping[str, Any]]) -> None:
    """A JSON array, an item a line and as they come: a hundred thousand of them need not fit into memory."""
    between = "[\n"
    for item in items:
        click.echo(between + json.dumps(item), nl=False)
        between = ",\n"
    click.echo("[]" if between == "[\n" else "\n]")


def line_shape(line: Line) -> dict[str, Any]:
    """A model of a listing. Of several files: hashes and titles are null, the files stand in `parts`."""
    if not line.bundle:
        return known_shape(line.parts[0]) | {"incomplete": False, "parts": []}
    first = line.first
    return {
        **known_shape(first),
        **hashes_shape(None),
        "content_id": None,
        "file": line.file,
        "folder": line.folder,
        "name": line.name,
        "size": line.size,
        "quick_hash": None,
        "read": line.read,
        "verified": line.verified,
        "evidence": None,
        "trouble": line.trouble or None,
        "runs_code": line.runs_code,
        "verified_at": min(part.verified_at for part in line.parts) or None,
        "first_seen": min(part.first_seen for part in line.parts) or None,
        "incomplete": line.incomplete,
        "parts": [known_shape(part) for part in line.parts],
    }


def known_shape(known: Known) -> dict[str, Any]:
    """One file."""
    return {
        "content_id": known.content_id,
        "file": known.file,
        "directory": known.root,
        "folder": known.folder,
        "name": known.name,
        "size": known.size,
        **hashes_shape(known.digests),
        "quick_hash": known.quick or None,
        "read": known.digests is not None,
        "verified": known.verified,
        "evidence": known.evidence,
        "verified_at": known.verified_at or None,
        "first_seen": known.first_seen or None,
        "bundle": known.bundle or None,
        "trouble": known.trouble or None,
        "runs_code": known.runs_code,
        "type": known.type or None,
        "base_model": known.base_model or None,
        "title": known.title or None,
    }


def hashes_shape(digests: Digests | None) -> dict[str, str | None]:
    return {name: digests.named(name) if digests else None for name in get_args(Algorithm)}


def directory_shape(number: int, directory: Directory) -> dict[str, Any]:
    """`number` is what `dir list` shows and `dir remove` takes."""
    return {"number": number, **asdict(directory), "scan_seconds": round(directory.scan_seconds, 3)}


def summary_shape(summary: Summary) -> dict[str, Any]:
    return {**asdict(summary), "unread": summary.files - summary.read}


def detail_shape(detail: Detail) -> dict[str, Any]:
    """One content: what every teller says of it stands in `told`, the believed word first."""
    return {
        "content_id": detail.content_id,
        "size": detail.size,
        **hashes_shape(detail.digests),
        "quick_hash": detail.quick or None,
        "locations": [known_shape(known) for known in detail.locations],
        "last_file": detail.last_file or None,
        "told": [asdict(told) for told in detail.told],
        "claims": [{"hash": str(claim.pin), "who": claim.who} for claim in detail.claims],
        "samples": [{"formula": formula, "hex": digits} for formula, digits in detail.samples],
        "addresses": [asdict(address) for address in detail.addresses],
        "previews": list(detail.previews),
        "answers": [{"service": service, **asdict(answer)} for service, answer in detail.answers],
    }


def missing_shape(missing: Missing) -> dict[str, Any]:
    return {
        "content_id": missing.content_id,
        "last_file": missing.file,
        "size": missing.size,
        **hashes_shape(missing.digests),
        "addresses": [asdict(address) for address in missing.addresses],
    }


def statistics_shape(statistics: Statistics, *, described: bool = True) -> dict[str, Any]:
    """StableQueue's names for what it counts too. `described` is null where an agent describes behind."""
    return {
        "total": statistics.total,
        "added": statistics.added,
        "updated": statistics.updated,
        "hashesCalculated": statistics.hashes_calculated,
        "hashesSkipped": statistics.hashes_skipped,
        "errors": statistics.errors,
        "removed": statistics.removed,
        "described": statistics.described if described else None,
        "seconds": statistics.seconds,
    }
