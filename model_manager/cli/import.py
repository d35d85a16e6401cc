"""`model-manager import`"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.bringing import brought, into_option, say
from model_manager.cli.environment import Environment, environment_option, name_as_file, opened, write
from model_manager.cli.figures import size_text
from model_manager.cli.importing import THEIRS, analysed, models_of, sample
from model_manager.cli.model.shapes import print_json
from model_manager.cli.workflow.judging import comfyui_option
from model_manager.errors import BadRequest, NotFound, Refused, printable
from model_manager.facts.analysis import Analysis, Item, Outcome
from model_manager.facts.manifest import Manifest, ManifestModel
from model_manager.library.disk import translating

WORDS: Final[dict[Outcome, str]] = {
    "here": "here",
    "linked": "here under another name",
    "read": "maybe here, read first",
    "likely": "here by name, size and samples",
    "downloaded": "downloaded",
    "unknown": "unknown",
}


@click.command()
@click.argument("parcel", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--required-only", is_flag=True, help="Leave optional models where they are.")
@click.option("--analyse", "--analyze", "only", is_flag=True, help="Say what it would mean, and do nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@into_option
@comfyui_option
@environment_option
@state_option
@json_option
def command(
    parcel: Path,
    required_only: bool,
    only: bool,
    yes: bool,
    into: Path | None,
    comfyui: Path | None,
    directory: Path,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Take in an environment: a file that 'export' wrote, a pyproject.toml, or a bundle of comfygit.

    First comes what it would mean: what is here, what is downloaded and how many bytes, what nobody knows. Then its manifest and
    workflows go into the environment, and its models to their places, each checked against its hash.
    """
    files, manifest = _read(parcel)
    found = analysed(manifest, state_dir, comfyui, optional=not required_only)
    print_json(_shape(found, manifest)) if as_json else _print(found, manifest)
    if only:
        return
    environment = opened(directory)
    workflows = _insist_free(environment, manifest, files)
    _confirm(found, yes)
    arrivals = brought(state_dir, models_of(found.items), into)
    after = analysed(manifest, state_dir, comfyui, optional=not required_only)
    for file, data in workflows.items():
        write(file, data)
    environment.save(_text(environment, manifest, after))
    say(arrivals)
    _insist_same(after)
    if not found.complete:
        sys.exit(NotFound.exit_code)


def _read(parcel: Path) -> tuple[dict[str, bytes], Manifest]:
    from model_manager.decisions.manifesting import read
    from model_manager.errors import BadManifest
    from model_manager.library.carried.parcels import MANIFEST, unpacked

    files = unpacked(parcel)
    try:
        text = files[MANIFEST].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadManifest(name=parcel.name, why=f"its {MANIFEST} is not UTF-8") from None
    manifest = read(text, parcel.name)
    if not manifest.models and not manifest.workflows:
        raise BadManifest(name=parcel.name, why="it has no models and no workflows of an environment")
    return files, manifest


def _insist_free(environment: Environment, manifest: Manifest, files: dict[str, bytes]) -> dict[Path, bytes]:
    """The workflows that are to be written, by their new place. Raises BadRequest when another file is there."""
    found: dict[Path, bytes] = {}
    for flow in manifest.workflows:
        data = files.get(flow.file) or files.get(f"workflows/{flow.name}.json")
        place = environment.directory / "workflows" / f"{name_as_file(flow.name)}.json"
        if data is None:
            continue
        if found.get(place, data) != data:
            raise BadRequest(why=f"two of its workflows would be {place}", fix="Rename one in its manifest.")
        with translating(str(place), "read"):
            other = place.exists() and place.read_bytes() != data
        if other:
            raise BadRequest(
                why=f"{place} is there already, and says something else", fix="Take it in elsewhere: -C DIR."
            )
        found[place] = data
    return found


def _confirm(found: Analysis, yes: bool) -> None:
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadRequest(
            why="nobody can be asked here whether to do this", fix="Add --yes, or --analyse to see it only."
        )
    click.confirm(f"Take it in ({size_text(found.bytes)} to download)?", abort=True, err=True)


def _text(environment: Environment, manifest: Manifest, after: Analysis) -> str:
    """The environment's manifest with everything, by the full hashes that were found."""
    from model_manager.decisions.rewriting import with_model, with_workflow

    text, file, keys = environment.text, str(environment.file), dict[str, str]()
    known = {item.model.key: item for item in after.items}
    for model in manifest.models:
        entry = _entry(model, known.get(model.key))
        keys[model.key] = entry.key
        text = with_model(text, entry, file)
    for flow in manifest.workflows:
        models = tuple(keys[model.key] for model in manifest.needed(flow))
        name = name_as_file(flow.name)
        text = with_workflow(text, replace(flow, name=name, file=f"workflows/{name}.json", models=models), file)
    return text


def _entry(model: ManifestModel, item: Item | None) -> ManifestModel:
    """With the full hashes of the file that is here, if one is; in our own form whosever manifest it came from."""
    digests = item.known.digests if item and item.known and item.outcome in ("here", "likely") else None
    sha256 = (digests and digests.sha256) or model.sha256
    blake3 = (digests and digests.blake3) or model.blake3
    quick = item.known.quick if digests and item and item.known else ""
    theirs = THEIRS in dict(model.quick)
    key = (quick or (sha256 or blake3)[:16] or model.key) if theirs else model.key
    return replace(model, key=key, sha256=sha256, blake3=blake3)


def _insist_same(after: Analysis) -> None:
    """What lies there without a full hash to be held against is held against the samples that the bundle has."""
    for item in after.items:
        promised = dict(item.model.quick).get(THEIRS)
        known = item.known or (item.ruling and item.ruling.loaded)
        if promised and not item.model.pin and known and sample(known.file) not in ("", promised):
            raise Refused(
                what=f"{known.file} is not what the bundle promises: its samples differ from {promised}. Look at it, or move it away."
            )


def _shape(found: Analysis, manifest: Manifest) -> dict[str, Any]:
    return {
        "tool": manifest.tool,
        "bytes": found.bytes,
        "unsized": found.unsized,
        "complete": found.complete,
        "models": [
            {
                "key": item.model.key,
                "model": item.model.label,
                "importance": item.importance,
                "outcome": item.outcome,
                "why": item.why,
                "size": item.model.size,
                "file": item.known.file if item.known else None,
                "sources": [source.url for source in item.model.sources],
            }
            for item in found.items
        ],
        "unresolved": list(found.unresolved),
        "workflows": [asdict(flow) for flow in manifest.workflows],
        "oddities": list(manifest.oddities),
    }


def _print(found: Analysis, manifest: Manifest) -> None:
    for outcome, word in WORDS.items():
        items = found.of(outcome)
        if items:
            click.echo(f"{word}: {len(items)}")
        for item in items:
            _print_item(item)
    more = f", and {found.unsized} of unknown size" if found.unsized else ""
    click.echo(f"to download: {size_text(found.bytes)}{more}")
    _warn("named by a workflow, without a hash", found.unresolved)
    _warn("left out", manifest.oddities)


def _print_item(item: Item) -> None:
    size = f", {size_text(item.model.size)}" if item.model.size else ""
    optional = ", optional" if item.importance == "optional" else ""
    click.echo(printable(f"  {item.model.label}{size}{optional}: {item.why}", 1000))


def _warn(word: str, items: Iterable[str]) -> None:
    for item in items:
        click.echo(f"! {word}: {printable(item)}", err=True)
