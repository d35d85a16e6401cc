"""`model-manager jobs work`"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import click

from model_manager import settings as configuration
from model_manager.bus.claims import LEASE, Claims
from model_manager.cli.jobs.desk import desk
from model_manager.errors import BadRequest, LeaseLost, ModelManagerError, NotServing, Unavailable, printable
from model_manager.facts import wire
from model_manager.facts.job import Failing, Work

MEANT: Final[Mapping[int, Failing]] = {65: "final", 69: "missing_model", 75: "retry"}
"""What a command's exit code says of its job (sysexits.h); every other one is tried again too."""

WAIT: Final = 60.0
"""Seconds of one question for a job."""

PATIENCE: Final = 30.0
"""Seconds that Redis may be away before it is said."""

GRACE: Final = 10.0
"""Seconds for a command to leave after SIGTERM."""

RESULT_BYTES: Final = 4096


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--machine", metavar="ID", help="The machine whose models count; default: MACHINE_ID.")
@click.option("--worker", metavar="NAME", help="Must be this process's alone; default: host and process id.")
@click.option("--seat", default="", metavar="NAME", help="The offer of this kind of worker; default: its agent's.")
@click.option("--lease", type=click.FloatRange(min=1), default=LEASE, show_default=True, metavar="SECONDS")
@click.option("--once", is_flag=True, help="Leave after one job.")
@click.argument("command_line", metavar="-- COMMAND ...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    machine: str | None, worker: str | None, seat: str, lease: float, once: bool, command_line: tuple[str, ...]
) -> None:
    """Run COMMAND for one job after the other.

    \b
    COMMAND reads the payload from standard input and finds JOB_ID, JOB_ATTEMPT, JOB_ASKS (JSON) and JOB_SIGNATURE in its
    environment; what it writes to the file JOB_RESULT (4,096 bytes) is the result.
    Its exit code: 0 done, 65 never try again, 69 a model is missing here (another machine gets it), else tried again.
    """
    if shutil.which(command_line[0]) is None:
        raise BadRequest(why=f"there is no command '{command_line[0]}'", fix="Name one that can be executed.")
    at = machine or configuration.load().machine_id
    asyncio.run(_stoppable(at, worker or f"{socket.gethostname()}-{os.getpid()}", seat, lease, once, command_line))


async def _stoppable(
    machine: str, worker: str, seat: str, lease: float, once: bool, command_line: tuple[str, ...]
) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: task.cancel() if task else None)
    with suppress(asyncio.CancelledError):
        async with desk(PATIENCE) as (_, claims):
            while not await _one(claims, machine, worker, seat, lease, command_line) or not once:
                continue


async def _one(
    claims: Claims, machine: str, worker: str, seat: str, lease: float, command_line: tuple[str, ...]
) -> bool:
    """Whether there was a job."""
    try:
        work = await claims.claim(machine, worker, wait=WAIT, lease=lease, seat=seat)
    except (NotServing, Unavailable) as error:
        _say(error)
        return False
    if work is None:
        return False
    try:
        await _do(claims, work, command_line)
    except (LeaseLost, Unavailable) as error:
        _say(error)
    return True


async def _do(claims: Claims, work: Work, command_line: tuple[str, ...]) -> None:
    with _result() as file:
        try:
            async with claims.held(work):
                code = await _run(command_line, work, file)
        except asyncio.CancelledError:
            await asyncio.shield(claims.fail(work, "the worker was stopped", backoff=0))
            raise
        if code == 0:
            await claims.complete(work, file.read_bytes()[:RESULT_BYTES].decode(errors="replace"))
        else:
            await claims.fail(work, f"{command_line[0]} ended with {code}", how=MEANT.get(code, "retry"))


async def _run(command_line: tuple[str, ...], work: Work, result: Path) -> int:
    """The command's exit code."""
    process = _begun(command_line, work, result)
    try:
        await asyncio.to_thread(process.communicate, work.payload)
    finally:
        if process.poll() is None:
            await _end(process)
    return process.returncode


def _begun(command_line: tuple[str, ...], work: Work, result: Path) -> subprocess.Popen[bytes]:
    """At once and not bit by bit, so that no cancellation finds half of it. It stands in its own session: its children leave
    with it."""
    environ = os.environ | {
        "JOB_ID": work.job,
        "JOB_ATTEMPT": str(work.attempt),
        "JOB_ASKS": wire.dumps(work.asks).decode(),
        "JOB_SIGNATURE": work.signature,
        "JOB_RESULT": str(result),
    }
    return subprocess.Popen(command_line, stdin=subprocess.PIPE, env=environ, start_new_session=True)


async def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to all of it, and SIGKILL to what stays."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        await asyncio.to_thread(process.wait, GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.to_thread(process.wait)


@contextmanager
def _result() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="job-") as directory:
        file = Path(directory) / "result"
        file.touch(mode=0o600)
        yield file


def _say(error: ModelManagerError) -> None:
    click.echo(f"model-manager: {printable(error, 500)}", err=True)
