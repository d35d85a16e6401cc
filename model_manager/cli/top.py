"""`model-manager top`: the whole fleet, live."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from model_manager.cli.aggregator import Ask, asking, everything, url_option
from model_manager.cli.overview import headline, ordered, overview
from model_manager.cli.panel import can_draw
from model_manager.errors import Unavailable, printable

AROUND: Final = 5
"""Lines that are no machine: two of the fleet, the head, what is left out, and the cursor's."""


@click.command()
@url_option
@click.option("--every", type=click.FloatRange(min=0.2), default=1.0, show_default=True, metavar="SECONDS")
def command(url: str | None, every: float) -> None:
    """Watch the whole fleet until Ctrl-C: machines that need somebody come first.

    Where nothing can be drawn anew (a pipe, a dumb terminal) it is shown once.
    """
    try:
        asyncio.run(_watch(url, every, Console(highlight=False)))
    except KeyboardInterrupt:
        return


async def _watch(url: str | None, every: float, console: Console) -> None:
    live = can_draw(console)
    async with asking(url, live=live) as ask:
        if not live:
            console.print(await picture(ask, console.width, None))
            return
        await _draw(ask, every, console)


async def _draw(ask: Ask, every: float, console: Console) -> None:
    """An aggregator that goes away and comes back is waited for; its last picture stays."""
    drawn: Any = Text("")
    with Live(console=console, auto_refresh=False, screen=True) as screen:
        while True:
            try:
                shown = drawn = await picture(ask, console.width, console.height)
            except Unavailable as error:
                shown = Group(Text(printable(error), style="red"), drawn)
            screen.update(shown, refresh=True)
            await asyncio.sleep(every)


async def picture(ask: Ask, width: int, height: int | None) -> Group:
    """The fleet and its machines, as many as there are lines; `height` None for all."""
    fleet, machines = await ask("fleet", {}), await everything(ask, "machines", {})
    rows = ordered(machines["items"])
    room = len(rows) if height is None else max(1, height - AROUND)
    lines: list[Any] = [*headline(fleet), overview(rows[:room], width)]
    if len(rows) > room:
        lines.append(Text(f"and {len(rows) - room} more", style="dim"))
    return Group(*lines)
