"""`model-manager jobs submit`"""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

import click

from model_manager.cli.answers import json_option
from model_manager.cli.jobs.asking import asking, print_json, requirement
from model_manager.cli.jobs.desk import asked
from model_manager.errors import Unavailable, printable
from model_manager.facts.job import Job, Policy, Submitted


@click.command()
@click.argument("id", required=False)
@asking
@click.option("--payload", default="", metavar="TEXT", help="What the worker is handed.")
@click.option("--payload-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.option("--priority", type=click.IntRange(-1000, 1000), default=0, show_default=True, help="Higher goes sooner.")
@click.option("--attempts", type=click.IntRange(1, 100), default=3, show_default=True, help="Before it is dead.")
@click.option(
    "--policy", type=click.Choice(["wait", "reject", "fetch"]), default="wait", show_default=True,
    help="When no machine can take it: wait, refuse it, or have machines fetch the models.",
)  # fmt: skip
@json_option
def command(
    id: str | None, payload: str, payload_file: Path | None, priority: int, attempts: int, policy: Policy, as_json: bool,
    customer: str, workflow: str, **asks: Any,
) -> None:  # fmt: skip
    """Hand a job in; without ID it gets one. The same ID again is the same job.

    Exit codes: 0 it is in the queue, 65 it cannot be meant so, 75 no machine can take it (policy reject).
    """
    job = Job(
        id=str(uuid.uuid4()) if id is None else id,
        asks=requirement(asks.pop("requirement"), **asks),
        payload=payload_file.read_bytes() if payload_file else payload.encode("utf-8", "surrogateescape"),
        priority=priority,
        customer=customer,
        workflow=workflow,
        max_attempts=attempts,
        policy=policy,
    )
    answer = asked(lambda claims: claims.submit(job))
    if as_json:
        print_json(answer)
    elif answer.word != "rejected":
        _say(answer)
    if answer.word == "rejected":
        if as_json:
            sys.exit(Unavailable.exit_code)
        raise Unavailable(what=f"No machine can take the job: {_lacking(answer)}. 'jobs explain' says more.")


def _say(answer: Submitted) -> None:
    word = "was there already" if answer.word == "known" else "is queued"
    click.echo(f"{printable(answer.id)} {word}")
    if not answer.eligible and answer.word == "queued":
        click.echo(f"no machine can take it yet: {_lacking(answer)}", err=True)


def _lacking(answer: Submitted) -> str:
    """What keeps machines away, in words."""
    nowhere = [printable(each.model) for each in answer.models if not each.machines]
    if nowhere:
        return f"nobody has {', '.join(nowhere[:5])}"
    return printable(answer.why) or "no machine has all that it asks for"
