"""`model-manager`: one command a file; a command's imports are paid only by those who call it."""

from __future__ import annotations

import difflib
import importlib
import signal
import sys
from typing import Any, Final, NoReturn

import click

from model_manager import __version__
from model_manager.errors import ModelManagerError

COMMANDS: Final = {
    "run": "Run the machine agent (the first app under PM2).",
    "wait": "Block until ready, then become the given command.",
    "status": "Show what this machine needs, has and does.",
    "plan": "Show what would be fetched, linked, kept or refused.",
    "check": "Validate the whole configuration and say every problem at once.",
    "events": "Show the machine's events as they happen.",
    "reload": "Read settings and assignment again.",
    "scan": "Look through the model directories now.",
    "verify": "Read every verified model once more.",
    "model": "The models of this machine: directories, list, find, duplicates.",
    "workflow": "Which models a workflow needs, which are here, where the others come from.",
    "export": "Write this environment into one file that another machine takes in.",
    "import": "Take in an environment: see what it needs first, then get it.",
    "assign": "Push an assignment to a running machine through Redis.",
    "fleet": "The whole fleet: serve its HTTP API, ask who has, who can, what is missing.",
    "top": "Watch the whole fleet live.",
    "jobs": "Hand jobs to machines that have their models; see them, and why nobody takes one.",
    "catalog": "The catalog: serve, import, export, migrate.",
}


class Commands(click.Group):
    """Imports a command's file when it is asked for, and suggests the nearest one for a typo."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(f"model_manager.cli.{cmd_name}").command
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and (near := difflib.get_close_matches(args[0], COMMANDS, n=1)):
            raise click.UsageError(f"No such command '{args[0]}'. Did you mean '{near[0]}'?", ctx)
        return super().resolve_command(ctx, args)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="model-manager")
def program() -> None:
    """Every GPU machine holds, verified, the models of the workflows that it serves, before its first user arrives."""


def main(arguments: list[str] | None = None) -> Any:
    """Run a command; a typed failure becomes its message and its exit code.

    Until the agent listens, SIGINT ends us at once: a KeyboardInterrupt in the middle of an import can be swallowed, and
    then a supervisor waits for a process that never heard it.
    """
    if arguments is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return program.main(arguments, prog_name="model-manager")
    except ModelManagerError as error:
        _leave(error)
    except BaseExceptionGroup as group:
        if typed := _typed(group):
            _leave(typed)
        raise
    except BrokenPipeError:
        sys.exit(0)


def _leave(error: ModelManagerError) -> NoReturn:
    click.echo(f"model-manager: {error}", err=True)
    sys.exit(error.exit_code)


def _typed(group: BaseExceptionGroup[BaseException]) -> ModelManagerError | None:
    """The one failure that ended the loops, when it is one of ours."""
    for error in group.exceptions:
        if isinstance(error, ModelManagerError):
            return error
        if isinstance(error, BaseExceptionGroup) and (found := _typed(error)):
            return found
    return None
