"""`model-manager fleet rules` and `fleet notifications`: what people want to hear of the fleet, and what they were told."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote, urlencode

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model_manager import settings as configuration
from model_manager.cli.aggregator import fetched, insisted
from model_manager.cli.answers import json_option
from model_manager.errors import Unavailable, printable
from model_manager.facts.notice import KINDS

RULES: Final = "/notifications/rules"
STYLES: Final = {"delivered": "green", "waiting": "yellow", "dead": "red"}

url_option = click.option(
    "--url",
    metavar="URL",
    help="The aggregator's address; by default the one that MODEL_MANAGER_FLEET_HOST and _PORT name.",
)


@click.group()
def rules() -> None:
    """What is told of the fleet, and where."""


@rules.command("add")
@click.argument("name")
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.option(
    "--model", "models", multiple=True, metavar="PATTERN", help="Of folder/name; may be repeated. All without it."
)
@click.option(
    "--machine", "machines", multiple=True, metavar="PATTERN", help="Of machine ids; together they are a group."
)
@click.option("--below-bytes", type=click.IntRange(min=0), help="Free bytes of a disk (disk.low).")
@click.option("--below-percent", type=click.FloatRange(0, 100), help="Free room of a disk (disk.low).")
@click.option("--seconds", type=click.FloatRange(min=1), help="Of silence, or of waiting.")
@click.option("--attempts", type=click.IntRange(min=1), help="After which a download counts as failed.")
@click.option(
    "--webhook",
    metavar="ADDRESS",
    help="Where it is posted to, signed; without it, only the history and the pages tell.",
)
@click.option("--gather", type=click.FloatRange(min=0), metavar="SECONDS", help="In which a burst becomes one notice.")
@click.option("--cooldown", type=click.FloatRange(min=0), metavar="SECONDS", help="Between two notices of the rule.")
@url_option
@json_option
def add(name: str, kind: str, webhook: str | None, url: str | None, as_json: bool, **given: Any) -> None:
    """Make a rule of one of the KINDS: model.appeared, model.vanished, download.failed, disk.low, machine.silent, job.waiting."""
    fields = {field: list(value) if isinstance(value, tuple) else value for field, value in given.items()}
    fields |= {"url": webhook}
    body = {"name": name, "kind": kind} | {field: value for field, value in fields.items() if value is not None}
    made = _written(url, "POST", RULES, body)
    if as_json:
        click.echo(json.dumps(made))
        return
    click.echo(f"rule {made['rule']['id']} is made")
    if webhook:
        click.echo(f"its secret, which is not shown again: {made['secret']}")


@rules.command("list")
@url_option
@json_option
def show(url: str | None, as_json: bool) -> None:
    """Show every rule."""
    body = fetched(_at(url), RULES)
    if as_json:
        click.echo(json.dumps(body))
        return
    if not body["items"]:
        click.echo("there is no rule")
        return
    table = _table("rule", "name", "kind", "models", "machines", "to")
    for each in body["items"]:
        patterns = (Text(printable(", ".join(each[of]) or "all", 80)) for of in ("models", "machines"))
        target = Text(printable(each["target"] or "–")) if each["enabled"] else Text("switched off", style="yellow")
        table.add_row(each["id"], Text(printable(each["name"])), each["kind"], *patterns, target)
    Console(highlight=False).print(table)


@rules.command("remove")
@click.argument("rule")
@url_option
def remove(rule: str, url: str | None) -> None:
    """Remove RULE. What it told stays in the history."""
    _written(url, "DELETE", f"{RULES}/{quote(rule, safe='')}")
    click.echo(f"rule {rule} is removed")


@rules.command("test")
@click.argument("rule")
@url_option
@json_option
def test(rule: str, url: str | None, as_json: bool) -> None:
    """Deliver a sample of RULE now. Exit code 75 when its webhook did not take it."""
    told = _written(url, "POST", f"{RULES}/{quote(rule, safe='')}/test")
    delivery = told["delivery"]
    if as_json:
        click.echo(json.dumps(told))
    elif delivery["state"] in ("none", "delivered"):
        click.echo("delivered" if delivery["state"] == "delivered" else "told; the rule has no webhook")
    if delivery["state"] not in ("none", "delivered"):
        raise Unavailable(what=f"The webhook did not take it: {delivery['why']}. Check its address and its receiver.")


@click.command()
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--after", type=click.IntRange(min=0), help="Only those after this number.")
@click.option("--rule", help="Only of this rule.")
@click.option("--kind", type=click.Choice(KINDS), metavar="KIND", help="Only of this kind.")
@click.option("--delivery", type=click.Choice(["none", "waiting", "delivered", "dead"]), help="Only in this state.")
@url_option
@json_option
def notifications(url: str | None, as_json: bool, **given: Any) -> None:
    """Show what was told, the last ones, oldest first."""
    asked = urlencode({name: value for name, value in given.items() if value is not None})
    body = fetched(_at(url), f"/notifications?{asked}")
    if as_json:
        click.echo(json.dumps(body))
        return
    if not body["items"]:
        click.echo("nothing was told")
        return
    table = _table("number", "when", "rule", "what", "webhook")
    for each in body["items"]:
        state = each["delivery"]["state"]
        word = Text("" if state == "none" else state, style=STYLES.get(state, ""))
        table.add_row(
            str(each["id"]), each["at"][:19], Text(printable(each["name"])), Text(printable(each["text"])), word
        )
    Console(highlight=False).print(table)


def _written(url: str | None, method: str, path: str, body: object = None) -> dict[str, Any]:
    token = configuration.load().fleet_token
    secret = token.get_secret_value() if token else None
    return fetched(_at(url), path, body, secret, method)


def _at(url: str | None) -> str:
    if url is not None:
        return insisted(url)
    settings = configuration.load()
    return f"http://{settings.fleet_host}:{settings.fleet_port}"


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table
