"""`model-manager check`: the whole configuration, and every problem at once."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click
from pydantic import SecretStr
from rich.console import Console
from rich.text import Text

from model_manager import settings as configuration
from model_manager.agent.assignment.filing import listed, named, read
from model_manager.agent.holdings.roots import insist_on_store, roots_of
from model_manager.bus.connection import connect, translate
from model_manager.cli.answers import json_option
from model_manager.cli.figures import size_text
from model_manager.cli.model.counting import counted
from model_manager.decisions.planning import not_admitted
from model_manager.decisions.requiring import requirements
from model_manager.errors import BadSetting, BadSettings, ModelManagerError, printable
from model_manager.facts.identity import TokenName
from model_manager.facts.model import Model, Requirements, Undescribed
from model_manager.library.folders import problems
from model_manager.settings import Settings
from model_manager.sources.catalog import catalog_at
from model_manager.sources.catalog_cache import CachedCatalog
from model_manager.sources.civitai import CivitaiOrigin
from model_manager.sources.credentials import Credentials
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.huggingface import HuggingFaceOrigin
from model_manager.sources.transport.web import web

Word = Literal["ok", "problem", "note"]
_STYLES = {"ok": "green", "problem": "red", "note": "yellow"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. A `problem` keeps the machine from getting ready; a `note` is worth a look."""

    word: Word
    subject: str
    says: str


@click.command()
@json_option
@click.option("--ask-origins", is_flag=True, help="Ask the origin of every model too (one byte each).")
def command(as_json: bool, ask_origins: bool) -> None:
    """Validate settings, catalog, tokens, directories, disk space and Redis; exit 78 if anything is wrong."""
    findings = asyncio.run(_check(ask_origins))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        console = Console(highlight=False)
        for finding in findings:
            line = Text.assemble(
                (f"{finding.word:<8}", _STYLES[finding.word]),
                f"{printable(finding.subject)}: {printable(finding.says, 600)}",
            )
            console.print(line, soft_wrap=True)
    problems = sum(finding.word == "problem" for finding in findings)
    if problems:
        click.echo(counted(problems, "problem"), err=True)
        sys.exit(BadSetting.exit_code)


async def _check(ask_origins: bool) -> list[Finding]:
    try:
        settings = configuration.load()
    except BadSettings as error:
        return [_wrong(problem) for problem in error.problems]
    findings = [Finding("ok", "settings", "every value is valid"), *_directories(settings)]
    findings += await _redis(settings)
    if named(settings):
        findings += _workflow_files(settings)
    needed = await _requirements(settings, findings)
    if needed is not None:
        findings += [
            *_assignment(needed),
            *_tokens(settings, needed),
            *_policy(settings, needed),
            *_space(settings, needed),
        ]
        if ask_origins:
            findings += await _origins(settings, needed)
    return findings


def _directories(settings: Settings) -> list[Finding]:
    findings = []
    try:
        insist_on_store(settings.own_root, "MODEL_MANAGER_STORE")
        roots = roots_of(settings)
        findings.append(Finding("ok", "directories", ", ".join(root.path for root in roots)))
        findings += [_wrong(problem) for problem in problems(tuple(root for root in roots if not root.own))]
        findings += _wiped(settings)
    except BadSetting as error:
        findings.append(_wrong(error))
    parent = next(path for path in (settings.state, *settings.state.parents) if path.exists())
    if not os.access(parent, os.W_OK):
        says = f"{parent} is not writable; name another directory"
        findings.append(Finding("problem", "MODEL_MANAGER_STATE_DIR", says))
    return findings


def _workflow_files(settings: Settings) -> list[Finding]:
    """Whether each can be read whole; what is here of its models, and where the others come from, `workflow check` says."""
    listing = listed(settings)
    findings = [Finding("problem", place, why) for place, why in listing.away.items()]
    for file in listing.files:
        try:
            workflow = read(file)
        except ModelManagerError as error:
            findings.append(Finding("problem", file, printable(error, 500)))
            continue
        findings += [
            Finding("problem", file, f"{printable(odd.why, 300)}; models may hide there, so it never gets ready")
            for odd in workflow.oddities
            if odd.unread
        ]
        if workflow.complete:
            says = f"names {counted(len(workflow.needed), 'model')}; model-manager workflow check {file} says which are here"
            findings.append(Finding("ok", file, says))
    return findings


def _wrong(error: BadSetting) -> Finding:
    return Finding("problem", str(error.facts["name"]), f"{error.facts['why']}. {error.facts['fix']}")


def _wiped(settings: Settings) -> list[Finding]:
    base, store = settings.comfyui_base, Path(settings.own_root.path).resolve()
    if base is None or base.resolve() not in store.parents:
        return []
    says = f"the store lies inside {base}, which a ComfyUI installer may delete on every boot; set MODEL_MANAGER_STORE outside it"
    return [Finding("note", "store", says)]


async def _redis(settings: Settings) -> list[Finding]:
    if settings.redis_url is None:
        return [Finding("ok", "redis", "embedded server")]
    redis = connect(
        settings.redis_url.get_secret_value(), timeout=5, prefix=settings.redis_prefix, trust=settings.redis_trust
    )
    try:
        with translate():
            await redis.ping()
    except ModelManagerError as error:
        return [Finding("problem", "REDIS_URL", str(error))]
    finally:
        await redis.aclose()
    return [Finding("ok", "redis", "it answers")]


@asynccontextmanager
async def _catalog(settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """The catalog's address and how to call it; the built-in one is served for the length of the block."""
    if settings.catalog_url:
        yield settings.catalog_url, settings.catalog_url
        return
    file = settings.state / "catalog.sqlite"
    if not file.exists():
        raise BadSetting(
            name="EMPROPS_API_BASE_URL",
            why=f"it is not set and the built-in catalog {file} does not exist",
            fix="Set it, or fill the built-in one: model-manager catalog import FILE.",
        )
    from model_manager.catalog.run import serve  # only who has one pays for its database

    async with serve(file) as url:
        yield url, f"built-in ({file})"


async def _requirements(settings: Settings, findings: list[Finding]) -> Requirements | None:
    assignment = settings.assignment
    if assignment.empty and named(settings):
        return None
    if assignment.empty:
        findings.append(
            Finding("note", "assignment", "nothing is assigned by the settings; files and Redis may still assign")
        )
        return None
    try:
        async with AsyncExitStack() as stack:
            url, name = await stack.enter_async_context(_catalog(settings))
            ca_file = str(settings.ca_file) if settings.ca_file else None
            catalog = await stack.enter_async_context(catalog_at(url, settings.catalog_key, ca_file=ca_file))
            described = await CachedCatalog(catalog, settings.state / "catalog-cache").describe(assignment)
    except ModelManagerError as error:
        findings.append(Finding("problem", "catalog", str(error)))
        return None
    findings += [Finding("problem" if described.stale else "note", "catalog", doubt) for doubt in described.doubts]
    answered = any(
        not isinstance(item, Undescribed) or item.missing for item in (*described.workflows, *described.collections)
    )
    if answered and not described.stale:
        findings.append(Finding("ok", "catalog", f"{name} answers"))
    return requirements(assignment, described)


def _assignment(needed: Requirements) -> list[Finding]:
    findings = [
        Finding("problem" if problem.blocks else "note", problem.subject, problem.why) for problem in needed.problems
    ]
    if needed.complete:
        count = sum(wanted.required for wanted in needed.wanted)
        findings.append(Finding("ok", "assignment", f"{len(needed.workflows)} workflows need {count} models"))
    return findings


def _tokens(settings: Settings, needed: Requirements) -> list[Finding]:
    """Models that the catalog calls gated, whose host has a token of ours that is not set."""
    hosts = {"HF_TOKEN": settings.hf_hosts, "CIVITAI_TOKEN": settings.civitai_hosts}
    tokens = {"HF_TOKEN": settings.hf_token, "CIVITAI_TOKEN": settings.civitai_token}
    findings = []
    for name in hosts:
        gated = [w.model.name for w in needed.wanted if w.model.gated and _at(w.model, hosts[name])]
        if gated and tokens[name] is None:
            says = f"it is not set, and the catalog marks {len(gated)} models as needing it ({', '.join(gated[:3])})"
            findings.append(Finding("note", name, f"{says}; set it or {name}_FILE"))
        elif gated:
            findings.append(Finding("ok", name, f"set, for {len(gated)} models"))
    return findings


def _at(model: Model, hosts: tuple[str, ...]) -> bool:
    return any(f"://{host}/" in source.url for source in model.sources for host in hosts)


def _policy(settings: Settings, needed: Requirements) -> list[Finding]:
    reasons = [(w, not_admitted(w.model, settings.unpinned, settings.allow_pickle)) for w in needed.wanted]
    return [Finding("problem" if w.required else "note", str(w.model.path), why) for w, why in reasons if why]


def _space(settings: Settings, needed: Requirements) -> list[Finding]:
    store = Path(settings.own_root.path)
    if not store.is_dir():
        return []
    missing = [w.model for w in needed.wanted if not (store / str(w.model.path)).exists()]
    size, free = sum(model.size.bytes for model in missing if model.size), shutil.disk_usage(store).free
    says = f"{size_text(size)} to download, {size_text(free)} free, {size_text(settings.disk_floor)} are kept free"
    return [Finding("problem" if size + settings.disk_floor > free else "ok", "disk", says)]


async def _origins(settings: Settings, needed: Requirements) -> list[Finding]:
    given: dict[TokenName, SecretStr | None] = {"HF_TOKEN": settings.hf_token, "CIVITAI_TOKEN": settings.civitai_token}
    hosts: dict[TokenName, frozenset[str]] = {
        "HF_TOKEN": frozenset(settings.hf_hosts),
        "CIVITAI_TOKEN": frozenset(settings.civitai_hosts),
    }
    credentials = Credentials(tokens={name: token for name, token in given.items() if token}, hosts=hosts)
    ca_file = str(settings.ca_file) if settings.ca_file else None
    findings: list[Finding] = []
    async with web(credentials, allow=settings.allow_hosts, ca_file=ca_file, proxy=settings.proxy) as net:
        origins = (
            HuggingFaceOrigin(net, settings.hf_hosts),
            CivitaiOrigin(net, settings.civitai_hosts),
            HttpsOrigin(net),
        )
        for wanted in needed.wanted:
            for source in wanted.model.sources[:1]:
                origin = next(origin for origin in origins if origin.claims(source.url))
                findings.append(await _asked(origin, wanted.model))
    return findings


async def _asked(origin: HttpsOrigin, model: Model) -> Finding:
    try:
        offer = await origin.describe(model.name, model.sources[0])
    except ModelManagerError as error:
        return Finding("problem", str(model.path), str(error))
    return Finding("ok", str(model.path), f"{size_text(offer.size)} at {offer.host}")
