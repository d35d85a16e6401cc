"""`model-manager workflow resolve`"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_manager.agent.assignment.judging import judged, layout_of
from model_manager.cli.answers import json_option, state_option
from model_manager.cli.bringing import Arrival, brought, cost, insist_brought, into_option, tell
from model_manager.cli.environment import environment_option, opened, workflow_path, write
from model_manager.cli.model.opening import opened_or_empty as opened_index
from model_manager.cli.model.shapes import print_json
from model_manager.cli.workflow.check import loads
from model_manager.cli.workflow.deciding import Open, Work, decided, insist_clear
from model_manager.cli.workflow.judging import comfyui_option, live_at, live_option, settings_of
from model_manager.cli.workflow.reading import Sheet, sheet
from model_manager.cli.workflow.shapes import resolved_shape, work_shape
from model_manager.cli.workflow.tracking import entered
from model_manager.errors import BadRequest, NotFound, printable
from model_manager.facts.loaders import Live
from model_manager.facts.manifest import Tracked
from model_manager.facts.resolution import Resolved, Wish
from model_manager.facts.sourcing import Place
from model_manager.index.reading import Shop

if TYPE_CHECKING:
    from model_manager.settings import Settings


@click.command()
@click.argument("what", metavar="FILE|NAME")
@click.option(
    "--online", is_flag=True, help="Ask HuggingFace and CivitAI for what nobody here knows, by the file's name."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@into_option
@comfyui_option
@live_option
@environment_option
@state_option
@json_option
def command(
    what: str,
    online: bool,
    dry_run: bool,
    yes: bool,
    into: Path | None,
    comfyui: Path | None,
    live: str | None,
    directory: Path,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Get what a workflow lacks, and write the right names back: of the file, only the bytes of these values change.

    What could be several files is asked about in a terminal, and fails with the candidates elsewhere. Exit code 0 when every
    model loads in the end, 65 when something is left.
    """
    environment = opened(directory)
    path, tracked = workflow_path(environment, what)
    told = live_at(live)
    read, settings = sheet(path, told), settings_of(state_dir)
    with opened_index(state_dir) as shop:
        layout = layout_of(settings, shop, comfyui)
        open_ = _questions(judged(read.workflow, shop, layout), shop, settings, online)
    work = decided(open_, writable=read.data is not None)
    if dry_run and as_json:
        print_json({"file": str(path), **work_shape(work)})
    else:
        insist_clear(work)
        _print_work(work)
    if dry_run:
        sys.exit(NotFound.exit_code if work.left or work.unclear else 0)
    arrivals = _done(read, work, state_dir, into, yes)
    found = _afterwards(path, tracked, directory, state_dir, comfyui, told)
    if as_json:
        print_json({"file": str(path), "references": [*map(resolved_shape, found)]})
    insist_brought(arrivals)
    _leave(found)


def _done(read: Sheet, work: Work, state_dir: Path | None, into: Path | None, yes: bool) -> tuple[Arrival, ...]:
    """What can be done is done: a model that does not come keeps no other value from being written."""
    if not work.edits and not work.models:
        return ()
    _confirm(work, yes)
    arrivals = brought(state_dir, list(work.models.values()), into)
    tell(arrivals)
    _write_back(read, work)
    return arrivals


def _questions(found: Sequence[Resolved], shop: Shop, settings: Settings, online: bool) -> list[Open]:
    """Whatever does not load, with the places where it could come from."""
    lacking = [
        (each, ruling) for each in found if each.reference.active for ruling in each.rulings if ruling.state != "loads"
    ]
    missing = [(each, ruling.wish) for each, ruling in lacking if ruling.state in ("missing", "proposed", "other")]
    places = asyncio.run(_places(missing, shop, settings, online)) if missing else {}
    return [Open(resolved=each, ruling=ruling, places=places.get(ruling.wish, ())) for each, ruling in lacking]


async def _places(
    missing: Sequence[tuple[Resolved, Wish]], shop: Shop, settings: Settings, online: bool
) -> dict[Wish, tuple[Place, ...]]:
    from model_manager.decisions.sourcing import places
    from model_manager.workbench.run import searching

    found: dict[Wish, tuple[Place, ...]] = {}
    doubts: dict[str, None] = {}
    gone = shop.missing()
    async with searching(settings) as search:
        for each, wish in missing:
            if wish in found:
                continue
            heard = await search.of(wish, online=online)
            doubts |= dict.fromkeys(heard.doubts)
            known = [address for one in gone if _was(wish, one.digests, one.file) for address in one.addresses]
            url = each.reference.url if len(each.rulings) == 1 else ""
            found[wish] = places(wish, told=url, catalog=heard.catalog, known=known, finds=heard.finds)
    for doubt in doubts:
        click.echo(f"! {printable(doubt)}", err=True)
    return found


def _was(wish: Wish, digests: object, file: str) -> bool:
    """Whether a content that lies nowhere any more is what is wished."""
    from model_manager.facts.identity import Digests

    if wish.pin is not None:
        return isinstance(digests, Digests) and wish.pin.agrees(digests) is True
    return Path(file).name == wish.name.rpartition("/")[2]


def _print_work(work: Work) -> None:
    for line in work.said:
        click.echo(printable(line, 1000), err=True)
    for label, why in work.left:
        click.echo(f"! {printable(label)}: {printable(why, 500)}", err=True)


def _confirm(work: Work, yes: bool) -> None:
    """Raises BadRequest when nobody can be asked and nobody said yes."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadRequest(
            why="nobody can be asked here whether to do this", fix="Add --yes, or --dry-run to see it only."
        )
    fetched = [model for model in work.models.values() if model.sources]
    click.confirm(f"Do this{f' ({cost(fetched)} to fetch)' if fetched else ''}?", abort=True, err=True)


def _write_back(read: Sheet, work: Work) -> None:
    """The file with its values changed; it is refused when somebody wrote it since it was read."""
    from model_manager.decisions.workflows.patching import patched

    if not work.edits or read.data is None:
        return
    changed = patched(read.data, work.edits, read.path.name)
    if sheet(read.path).data != read.data:
        raise BadRequest(why=f"{read.path} was written meanwhile", fix="Run the command again.")
    write(read.path, changed)


def _afterwards(
    path: Path,
    tracked: Tracked | None,
    directory: Path,
    state_dir: Path | None,
    comfyui: Path | None,
    live: Live | None,
) -> tuple[Resolved, ...]:
    """What it comes to now, which the manifest learns as well when the workflow is tracked."""
    read, environment = sheet(path, live), opened(directory)
    with opened_index(state_dir) as shop:
        found = judged(read.workflow, shop, layout_of(settings_of(state_dir), shop, comfyui))
        if tracked is not None:
            text, _ = entered(environment, tracked.name, tracked.file, read.workflow, found, shop)
            environment.save(text)
    return found


def _leave(found: Sequence[Resolved]) -> None:
    bad = list(_bad(found))
    total = sum(each.reference.active for each in found)
    click.echo(f"{total - len(bad)} of {total} load", err=True)
    if bad:
        sys.exit(NotFound.exit_code)


def _bad(found: Sequence[Resolved]) -> Iterator[Resolved]:
    return (each for each in found if not loads(each))
