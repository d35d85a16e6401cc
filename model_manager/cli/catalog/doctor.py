"""`model-manager catalog doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import click

from model_manager import settings as configuration
from model_manager.agent.entitlements import hosts, tokens
from model_manager.catalog.doctoring import Doctor, Examined
from model_manager.catalog.drawn import folders_of
from model_manager.catalog.run import opened
from model_manager.catalog.visiting import Visitor
from model_manager.cli.catalog.opening import address_of, database_option
from model_manager.decisions.referring import read
from model_manager.errors import BadWorkflow
from model_manager.facts import wire
from model_manager.facts.quota import Quota, Quotas
from model_manager.settings import Settings
from model_manager.sources.catalog_versions import CivitaiVersions
from model_manager.sources.civitai import CivitaiOrigin
from model_manager.sources.credentials import Credentials
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.huggingface import HuggingFaceOrigin
from model_manager.sources.limits import Limits
from model_manager.sources.origin import Origin
from model_manager.sources.searching import Asker
from model_manager.sources.spacing import Spacing
from model_manager.sources.web import Web, tls, web

Expected = dict[str, set[str]]


@click.command()
@click.option("--fix", is_flag=True, help="Write what can be mended, after showing it and asking.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@click.option("--no-visit", is_flag=True, help="Ask nobody; look only at the records.")
@click.option(
    "--workflow", "workflows", multiple=True, type=click.Path(exists=True, path_type=Path),
    help="A workflow's file, or a directory of them: are models in the folders from which they load?",
)  # fmt: skip
@click.option(
    "--per-minute", type=click.IntRange(1, 6000), default=120, show_default=True, help="Requests to one host."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a record a line.")
@database_option
def command(
    fix: bool, yes: bool, no_visit: bool, workflows: tuple[Path, ...], per_minute: int, as_json: bool, database: str | None
) -> None:  # fmt: skip
    """Look at every record and visit every address, asking for one byte; say what is wrong, and what would mend it.

    Nothing is written without --fix. Ends with 1 when something is wrong that was not mended.
    """
    settings = configuration.load()
    expected = expected_of(workflows)
    coroutine = _examine(
        settings,
        address_of(database, settings),
        expected,
        None if no_visit else per_minute,
        fix=fix,
        yes=yes,
        as_json=as_json,
    )
    if asyncio.run(coroutine):
        raise SystemExit(1)


async def _examine(
    settings: Settings, address: Path | str, expected: Expected, per_minute: int | None, *, fix: bool, yes: bool, as_json: bool
) -> int:  # fmt: skip
    """How many records have something wrong that stays."""
    known = tokens(settings)
    async with opened(address, kept=settings.catalog_changes) as store, _visitor(settings, per_minute) as visitor:
        doctor = Doctor(store, visitor, set(known), expected)
        found: list[Examined] = []
        async for examined in doctor.examine():
            found.append(examined)
            click.echo(_json(examined) if as_json else "\n".join(lines(examined)))
        mendable = [each for each in found if each.mended]
        click.echo(f"{len(found)} records have something wrong; {len(mendable)} can be mended", err=True)
        if not fix or not mendable or not (yes or click.confirm(f"Write {len(mendable)} records?", err=True)):
            if mendable and not fix:
                click.echo("Nothing was written. --fix writes it.", err=True)
            return len(found)
        return await _mend(doctor, found)


async def _mend(doctor: Doctor, found: list[Examined]) -> int:
    left = 0
    for each in found:
        why = await doctor.mend(each) if each.mended else ""
        left += bool(why) or any(not ailment.fix for ailment in each.ailments)
        if why:
            click.echo(f"  {each.stored.name}: {why}", err=True)
    click.echo(f"{left} records have something wrong that only a person can mend", err=True)
    return left


def lines(examined: Examined) -> Iterable[str]:
    """For a person."""
    for each in examined.ailments:
        yield f"{each.kind:12}  {each.name}: {each.what}{f' -> {each.fix}' if each.fix else ''}"


def _json(examined: Examined) -> str:
    return wire.dumps({"id": examined.stored.id, "ailments": examined.ailments}).decode()


def expected_of(paths: Iterable[Path]) -> Expected:
    """Name → folders, from files of workflows. Raises BadWorkflow for a file that is none; in directories those are passed over."""
    expected: Expected = {}
    for path in paths:
        files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        for file in files:
            try:
                workflow = read(file.read_bytes(), str(file))
            except BadWorkflow as error:
                if not path.is_dir():
                    raise
                click.echo(f"passed over: {error}", err=True)
                continue
            for name, folder in folders_of(workflow):
                expected.setdefault(name, set()).add(folder)
    return expected


@asynccontextmanager
async def _visitor(settings: Settings, per_minute: int | None) -> AsyncIterator[Visitor | None]:
    """Origins with our tokens and without, below one limit for each host."""
    if per_minute is None:
        yield None
        return
    ca_file = str(settings.ca_file) if settings.ca_file else None
    limits = Limits(Quotas(requests=Quota(each=per_minute)))
    named = Credentials(tokens=tokens(settings), hosts=hosts(settings))
    nobody = Credentials(hosts=hosts(settings))
    timeout = aiohttp.ClientTimeout(total=60, sock_connect=10)
    async with (
        web(nobody, allow=settings.allow_hosts, ca_file=ca_file, proxy=settings.proxy, limits=limits) as open_,
        web(named, allow=settings.allow_hosts, ca_file=ca_file, proxy=settings.proxy, limits=limits) as known,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls(ca_file)), timeout=timeout, proxy=settings.proxy
        ) as session,
    ):
        asker = Asker(session, settings.civitai_api, settings.civitai_token, "CIVITAI_TOKEN", Spacing(per_minute / 60))
        yield Visitor(_origins(open_, settings), _origins(known, settings), CivitaiVersions(asker))


def _origins(net: Web, settings: Settings) -> tuple[Origin, ...]:
    return HuggingFaceOrigin(net, settings.hf_hosts), CivitaiOrigin(net, settings.civitai_hosts), HttpsOrigin(net)
