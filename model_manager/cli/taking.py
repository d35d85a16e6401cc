"""`model-manager fleet import`: take in what a database of StableQueue tells."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
from contextlib import closing
from typing import Any, Final
from urllib.parse import urlsplit

import click

from model_manager import settings as configuration
from model_manager.cli.aggregator import insisted, refused, url_option
from model_manager.cli.answers import json_option
from model_manager.errors import AggregatorAway, BadRequest, printable

TIMEOUT: Final = 600.0
"""Seconds of silence: a database of a gigabyte is read before it is answered."""

SHOWN: Final = 20
"""Rows that were left out, of which we tell why."""


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Enter nothing, and say what would be.")
@url_option
@json_option
def import_(file: str, dry_run: bool, url: str | None, as_json: bool) -> None:
    """Take in what FILE, a database of StableQueue, tells of models and of who has them."""
    told = _sent(insisted(url), file, dry_run) if url else asyncio.run(_here(file, dry_run))
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(told["message"])
    click.echo(
        f"{told['words']} words; {told['here']} models are here; {told['claims']} claims of {len(told['servers'])} servers"
    )
    for each in told["wrong"][:SHOWN]:
        click.echo(f"  {printable(each['where'])}: {printable(each['why'])}")
    if (more := told["wrongs"] - SHOWN) > 0:
        click.echo(f"  and {more} more; --json has a thousand of them")


async def _here(file: str, dry: bool) -> dict[str, Any]:
    """From this process: a file that its program may write meanwhile."""
    from loguru import logger

    from model_manager.facts import wire
    from model_manager.fleet.run import acting
    from model_manager.serving.problems import Answer  # only who reads Redis pays for it

    logger.remove()
    async with acting(configuration.load()) as program:
        try:
            answer: dict[str, Any] = wire.loads(
                wire.dumps(await program.library.taking.take(os.path.abspath(file), dry=dry, still=False))
            )
        except Answer as refusal:
            raise refused(refusal.status, refusal.detail) from None
    return answer


def _sent(url: str, file: str, dry: bool) -> dict[str, Any]:
    """Over HTTP with MODEL_MANAGER_FLEET_TOKEN. Raises AggregatorAway, Refused, Unavailable."""
    parts, token = urlsplit(url), configuration.load().fleet_token
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(os.path.getsize(file))}
    headers |= {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    if not os.path.getsize(file):
        raise BadRequest(why=f"{file} is empty", fix="Name StableQueue's mobilesd_models.sqlite.")
    path = f"{parts.path.rstrip('/')}/api/v1/import?dry_run={'true' if dry else 'false'}"
    try:
        with closing(kind(parts.netloc, timeout=TIMEOUT)) as connection, open(file, "rb") as body:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            content: dict[str, Any] = json.loads(answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise AggregatorAway(url=url, why=str(error) or type(error).__name__) from None
    except ValueError:
        raise AggregatorAway(url=url, why="its answer is not JSON") from None
    if answer.status != 200:
        raise refused(answer.status, str(content.get("detail") or f"It answered {answer.status}."))
    return content
