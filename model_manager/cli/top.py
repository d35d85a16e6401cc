"""`model-manager top`: the whole fleet, live."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from model_manager.cli.aggregator import Ask, asking, everything, url_option
from model_manager.cli.choosing import Choice, pressed
from model_manager.cli.keys import keys
from model_manager.cli.overview import headline, overview
from model_manager.cli.panel import can_draw
from model_manager.errors import Unavailable, printable

AROUND: Final = 5
"""Lines that are no machine: two of the fleet, the head, the last one, and the cursor's."""


LEAVING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REDRAWING: Final = (signal.SIGWINCH, signal.SIGCONT)


@click.command()
@url_option
@click.option("--every", type=click.FloatRange(min=0.2), default=1.0, show_default=True, metavar="SECONDS")
def command(url: str | None, every: float) -> None:
    """Watch the whole fleet until q or Ctrl-C: machines that need somebody come first.

    Keys: s orders otherwise, / filters (Esc ends that), arrows and space scroll. Where nothing can be drawn anew (a pipe, a dumb
    terminal) it is shown once.
    """
    try:
        asyncio.run(_watch(url, every, Console(highlight=False)))
    except KeyboardInterrupt:
        return


async def _watch(url: str | None, every: float, console: Console) -> None:
    if can_draw(console):
        await Watch(lambda: asking(url, live=True), url or "Redis", every, console).run()
        return
    async with asking(url) as ask:
        console.print(picture(await told(ask), Choice(), console.width, None))


@dataclass(frozen=True, slots=True)
class Told:
    """What the fleet said last."""

    fleet: Mapping[str, Any]
    machines: Sequence[Mapping[str, Any]]


async def told(ask: Ask) -> Told:
    fleet, machines = await ask("fleet", {}), await everything(ask, "machines", {})
    return Told(fleet, machines["items"])


class Watch:
    """The screen: asked anew every so many seconds, drawn anew at each key and each new size as well. Who does not answer (`where`),
    at the start or later, is waited for; the last picture stays. Who wants to leave waits for nobody."""

    def __init__(
        self, opened: Callable[[], AbstractAsyncContextManager[Ask]], where: str, every: float, console: Console
    ) -> None:
        self._opened = opened
        self._every = every
        self._console = console
        self._choice = Choice()
        self._told: Told | None = None
        self._why = Text(f"asking {printable(where)}   q: leave", style="dim", no_wrap=True)
        self._bell = asyncio.Event()
        self._left = False

    async def run(self) -> None:
        live = Live(console=self._console, auto_refresh=False, screen=True)
        with live as screen, keys(self._press), _heard(LEAVING, self._leave), _heard(REDRAWING, self._bell.set):
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(self._ask_for_ever(), name="asking")
                await self._draw_until_left(screen)
                asked.cancel()

    async def _ask_for_ever(self) -> None:
        while True:
            try:
                async with self._opened() as ask:
                    while True:
                        await self._look(ask)
                        await asyncio.sleep(self._every)
            except Unavailable as error:
                self._say(printable(error))
            await asyncio.sleep(self._every)

    async def _look(self, ask: Ask) -> None:
        try:
            self._told = await told(ask)
            self._say("")
        except Unavailable as error:
            self._say(printable(error))

    def _say(self, why: str) -> None:
        self._why = Text(why, style="red", no_wrap=True, overflow="ellipsis")
        self._bell.set()

    async def _draw_until_left(self, screen: Live) -> None:
        while not self._left:
            screen.update(self._picture(), refresh=True)
            await self._bell.wait()
            self._bell.clear()

    def _leave(self) -> None:
        self._left = True
        self._bell.set()

    def _picture(self) -> Group:
        width, height = self._console.size
        lines = [] if self._told is None else [picture(self._told, self._choice, width, height - bool(self._why))]
        return Group(*([self._why] if self._why else []), *lines)

    def _press(self, key: str) -> None:
        choice = pressed(self._choice, key, max(1, self._console.height - AROUND))
        if choice is None:
            self._leave()
        else:
            total = len(choice.chosen(self._told.machines)) if self._told else 0
            self._choice = choice.within(total, max(1, self._console.height - AROUND))
        self._bell.set()


@contextmanager
def _heard(numbers: Iterable[signal.Signals], then: Callable[[], None]) -> Iterator[None]:
    """Signals in the event loop: a screen that is left otherwise stays as it was drawn."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, then)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def picture(told: Told, choice: Choice, width: int, height: int | None) -> Group:
    """The fleet and its machines, as many as there are lines; `height` None for all."""
    rows = choice.chosen(told.machines)
    room = len(rows) if height is None else max(1, height - AROUND)
    shown = choice.within(len(rows), room)
    page = rows[shown.first : shown.first + room]
    heads = headline(told.fleet)
    for head in heads:
        head.no_wrap, head.overflow = height is not None, "ellipsis"
    lines: list[Any] = [*heads, overview(page, width, choice.by if height is not None else "")]
    if height is not None:
        lines.append(Text(_last(shown, len(page), len(rows)), style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*lines)


def _last(choice: Choice, shown: int, total: int) -> str:
    """What is seen of how many, and by which keys one sees others."""
    if choice.typing:
        return f"/{printable(choice.text)}_  {total} machines   Enter keeps it, Esc ends it"
    which = f"{choice.first + 1}-{choice.first + shown} of {total}" if total else "none"
    filtered = f" with '{printable(choice.text)}' (Esc shows all)" if choice.text else ""
    return f"{which}{filtered}   q: leave   s: by {choice.by}   /: filter   arrows, space: scroll"
