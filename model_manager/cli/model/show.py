"""`model-manager model index show`"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from model_manager.cli.answers import json_option, state_option
from model_manager.cli.figures import size_text
from model_manager.cli.model.choosing import meant
from model_manager.cli.model.lines import Line
from model_manager.cli.model.opening import opened
from model_manager.cli.model.shapes import detail_shape, line_shape, print_json
from model_manager.errors import ModelManagerError, printable

if TYPE_CHECKING:
    from model_manager.facts.description import Field
    from model_manager.facts.known import Answer, Detail, Known

_ELSEWHERE: Final = frozenset({"civitai_download_url", "civitai_file_size_kb"})
"""Fields that other lines say better."""

_HEARD: Final = {
    "found": "it knows it",
    "absent": "it does not know it",
    "doubtful": "its answer could not be read; it is asked again",
}

RISK: Final = "a pickle: loading it can run code of whoever made it; that it is verified says whose bytes it has, not that they are safe"

Row = tuple[str, str]


@click.command()
@click.argument("what")
@state_option
@json_option
def command(what: str, state_dir: Path | None, as_json: bool) -> None:
    """Everything that is known of WHAT: a name, a path, the beginning of a hash, or the number of a content."""
    with opened(state_dir) as shop:
        found = meant(shop, what)
        if isinstance(found, Line) and found.bundle:
            print_json(line_shape(found)) if as_json else _print_parts(found)
            return
        detail = shop.show(found.parts[0].content_id) if isinstance(found, Line) else found
    if as_json:
        print_json(_whole_shape(detail))
        return
    _print(detail)


def _whole_shape(detail: Detail) -> dict[str, object]:
    """With the word that counts for each field, and how much is told in all."""
    from model_manager.decisions.describing import best, source, status

    words = best(detail.told)
    believed = {field: {"value": word.value, "teller": word.teller} for field, word in sorted(words.items())}
    summed = {"metadata_status": status(words), "metadata_source": source(words), "described": believed}
    return {**detail_shape(detail), **summed}


def _print_parts(line: Line) -> None:
    from model_manager.cli.model.lines import Line as One
    from model_manager.cli.model.tables import print_models

    click.echo(f"{printable(f'{line.folder}/{line.name}')}: {size_text(line.size)} in {len(line.parts)} files")
    click.echo(f"{printable(line.file)}\n")
    print_models(One(folder=part.folder, name=part.name, parts=(part,)) for part in line.parts)


def _print(detail: Detail) -> None:
    """A line each, however long: a hash that is copied must be whole."""
    from rich.text import Text

    from model_manager.cli.model.tables import console

    screen, rows = console(), list(_rows(detail))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        screen.print(Text.assemble((f"{name:<{width}}", "dim"), "  ", value), soft_wrap=True)


def _rows(detail: Detail) -> Iterator[Row]:
    yield "content", str(detail.content_id)
    yield "size", f"{size_text(detail.size)} ({detail.size:,} bytes)"
    yield from _hashes(detail)
    for known in detail.locations:
        yield "file", f"{printable(known.file)} ({_state(known)})"
    if any(known.runs_code for known in detail.locations):
        yield "warning", RISK
    if detail.last_file:
        yield "missing", f"it lay in {printable(detail.last_file)}"
    yield from _described(detail)
    for address in detail.addresses:
        yield "from", printable(address.url)
    for preview in detail.previews:
        yield "preview", printable(preview)
    for claim in detail.claims:
        yield "claimed", f"{printable(claim.pin)} by {printable(claim.who)}"
    for service, answer in detail.answers:
        yield "asked", _answered(service, answer)


def _state(known: Known) -> str:
    why = printable(known.trouble, 1000)
    if known.verified:
        again = f"; not read again: {why}" if why else ""
        return f"verified {known.verified_at[:10]}{again}"
    if known.digests:
        return _odd(known)
    return f"could not be read: {why}" if why else "to read"


def _odd(known: Known) -> str:
    """Why a file is no sound model, by a look at its beginning as it is now."""
    from model_manager.decisions.judging import sound
    from model_manager.library.contents.reading import beginning

    try:
        head, header = beginning(known.file)
    except ModelManagerError as error:
        return f"odd; why cannot be said now: {error}"
    why = sound(known.name, head, header, known.fingerprint.size)
    return f"odd: {printable(why or 'well formed, but not the bytes that were expected')}; fetch it again, or remove it"


def _hashes(detail: Detail) -> Iterator[Row]:
    if detail.digests is None:
        yield "hashes", "none yet: 'model-manager model index sync' reads it"
    else:
        for name in ("autov2", "autov3", "sha256", "blake3", "crc32", "md5"):
            if value := detail.digests.named(name):
                yield name, value
    if detail.quick:
        yield "quick hash", f"{detail.quick} (over samples: a hint)"


def _described(detail: Detail) -> Iterator[Row]:
    from model_manager.decisions.describing import best

    for field, word in sorted(best(detail.told).items()):
        if field not in _ELSEWHERE:
            name = field.removeprefix("civitai_").replace("_", " ")
            yield name, f"{printable(_plain(field, word.value), 500)} ({word.teller})"


def _plain(field: Field, value: str) -> str:
    """As a person reads it: words with commas, yes or no."""
    match field:
        case "civitai_trained_words":
            return ", ".join(map(str, json.loads(value)))
        case "civitai_nsfw":
            return "yes" if value == "1" else "no"
        case _:
            return value


def _answered(service: str, answer: Answer) -> str:
    day = datetime.fromtimestamp(answer.at, UTC).date()
    return f"{printable(service)}, on {day}: {_HEARD[answer.outcome]}"
