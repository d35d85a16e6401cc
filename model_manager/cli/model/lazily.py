"""Groups whose commands are imported only when they are called."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import click


class Lazily(click.Group):
    """A group that knows its commands by file and help, and suggests the nearest one for a typo."""

    def __init__(
        self,
        *,
        places: Mapping[str, tuple[str, str]],
        room: str = "model_manager.cli.model",
        elsewhere: Mapping[str, str] = MappingProxyType({}),
        **attributes: Any,
    ) -> None:
        """`places`: name → (the file of `room` whose `command` it is, what it does). `elsewhere`: name → what to type instead."""
        super().__init__(**attributes)
        self._places = places
        self._room = room
        self._elsewhere = elsewhere

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._places:
            return None
        found = importlib.import_module(f"{self._room}.{self._places[cmd_name][0]}").command
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in self._places.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self._places and (instead := self._elsewhere.get(args[0])):
            raise click.UsageError(f"No such command '{args[0]}'. It is '{instead}'.", ctx)
        if args and args[0] not in self._places and (near := difflib.get_close_matches(args[0], self._places, n=1)):
            raise click.UsageError(f"No such command '{args[0]}'. Did you mean '{near[0]}'?", ctx)
        return super().resolve_command(ctx, args)
