"""Several processes that serve one catalog at one address: one begins, and keeps the others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from loguru import logger

PAUSE: Final = 1.0
"""Seconds before a process that ended is started again."""

Beside = Callable[[str, asyncio.Event], AbstractAsyncContextManager[None]]
"""Who else serves, given the base URL and what stops the program, for the length of a block."""


@asynccontextmanager
async def alone(_url: str, _stop: asyncio.Event) -> AsyncIterator[None]:
    """Nobody else."""
    yield


@asynccontextmanager
async def led(_url: str, stop: asyncio.Event) -> AsyncIterator[None]:
    """We were begun by another process, whose end closes our standard input: then we stop too."""
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if not os.read(0, 1):
            stop.set()

    loop.add_reader(0, heard)
    try:
        yield
    finally:
        loop.remove_reader(0)


def leading(commands: Sequence[Callable[[str], Sequence[str]]], environ: Mapping[str, str]) -> Beside:
    """One process for each of `commands`, which are told the base URL."""

    @asynccontextmanager
    async def beside(url: str, _stop: asyncio.Event) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            keeping = [group.create_task(_kept(command(url), environ)) for command in commands]
            try:
                yield
            finally:
                for each in keeping:
                    each.cancel()

    return beside


async def _kept(command: Sequence[str], environ: Mapping[str, str]) -> None:
    while True:
        process = await asyncio.create_subprocess_exec(
            *command, env=environ, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        logger.bind(code=process.returncode).error("a process beside this one ended; it is started again")
        await asyncio.sleep(PAUSE)
