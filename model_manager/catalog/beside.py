"""Several processes that serve one catalog at one address: the first takes connections in, and deals them out in turn.

The kernel would deal by the client's port: of a fleet's few connections one process may get most, and who asks there waits.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Final, NamedTuple, NoReturn

from loguru import logger

from model_manager.serving.listening import Answering, doors

PAUSE: Final = 1.0
"""Seconds before a process that ended is started again, or a connection is taken in after one could not be."""

READY: Final = b"r"
"""What a process says to its leader once it answers."""

DEALT: Final = b"c"
"""What a connection comes with, on its way to another process."""


class Where(NamedTuple):
    """An address; `setting` is the name of what says it."""

    host: str
    port: int
    setting: str


Beside = Callable[[Answering, Where, asyncio.Event], AbstractAsyncContextManager[str]]
"""Connections are answered for the length of a block; the value is the base URL, "" for who does not know it. Who else does so ends
with it. Given too: what stops the program."""


async def answer(own: Answering, connection: socket.socket) -> None:
    """From now on `own` has this connection."""
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().connect_accepted_socket(own, connection)
    except OSError:
        connection.close()  # it hung up


def alone(own: Answering, where: Where, stop: asyncio.Event) -> AbstractAsyncContextManager[str]:
    """Nobody else."""
    return leading((), {})(own, where, stop)


@asynccontextmanager
async def led(own: Answering, _where: Where, stop: asyncio.Event) -> AsyncIterator[str]:
    """We were begun by another process: our standard input is where connections come from, and its end is ours."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[socket.socket] = asyncio.Queue()
    with socket.socket(fileno=os.dup(0)) as leader:
        leader.setblocking(False)

        def heard() -> None:
            told, connections = _received(leader)
            for each in connections:
                waiting.put_nowait(each)
            if not told:
                loop.remove_reader(leader)
                stop.set()

        async with asyncio.TaskGroup() as group:
            answering = group.create_task(_answering(own, waiting))
            loop.add_reader(leader, heard)
            try:
                leader.send(READY)
                yield ""
            finally:
                loop.remove_reader(leader)
                answering.cancel()


def leading(commands: Sequence[Sequence[str]], environ: Mapping[str, str]) -> Beside:
    """One process for each of `commands`, which calls `led`."""

    @asynccontextmanager
    async def beside(own: Answering, where: Where, _stop: asyncio.Event) -> AsyncIterator[str]:
        dealing = Dealing(own)
        async with doors(*where) as (url, sockets), asyncio.TaskGroup() as group:
            work = [group.create_task(dealing.taking(each)) for each in sockets]
            work += [group.create_task(_kept(command, environ, dealing)) for command in commands]
            try:
                yield url
            finally:
                for each in work:
                    each.cancel()

    return beside


class Dealing:
    """Connections go to one process after the other; `own` has those that fall to us, and those that nobody else can take."""

    def __init__(self, own: Answering) -> None:
        self._own = own
        self._hands: deque[socket.socket | None] = deque([None])

    @contextmanager
    def to(self, hand: socket.socket) -> Iterator[None]:
        """Another process has its share, for the length of the block."""
        self._hands.append(hand)
        try:
            yield
        finally:
            self._hands.remove(hand)

    async def taking(self, door: socket.socket) -> NoReturn:
        door.setblocking(False)
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(door)
            except OSError as error:
                logger.bind(reason=str(error)).warning("a connection could not be taken in")
                await asyncio.sleep(PAUSE)
            else:
                await self._dealt(connection)

    async def _dealt(self, connection: socket.socket) -> None:
        for _ in range(len(self._hands)):
            hand = self._hands[0]
            self._hands.rotate(-1)
            if hand is None:
                break
            if _given(hand, connection):
                connection.close()
                return
        await answer(self._own, connection)


async def _answering(own: Answering, waiting: asyncio.Queue[socket.socket]) -> NoReturn:
    while True:
        await answer(own, await waiting.get())


async def _kept(command: Sequence[str], environ: Mapping[str, str], dealing: Dealing) -> NoReturn:
    while True:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            process = await asyncio.create_subprocess_exec(
                *command, env=environ, stdin=theirs.fileno(), start_new_session=True
            )
            theirs.close()
            try:
                await _dealt_to(process, ours, dealing)
            finally:
                if process.returncode is None:
                    process.terminate()
                    await process.wait()
        logger.bind(code=process.returncode).error("a process beside this one ended; it is started again")
        await asyncio.sleep(PAUSE)


async def _dealt_to(process: asyncio.subprocess.Process, hand: socket.socket, dealing: Dealing) -> None:
    """Until it ends. It gets connections once it says that it answers."""
    if await asyncio.get_running_loop().sock_recv(hand, len(READY)):
        with dealing.to(hand):
            await process.wait()
    await process.wait()


def _given(hand: socket.socket, connection: socket.socket) -> bool:
    """Whether the process at the other end has it now: not while it is too busy to take any, or has just ended."""
    try:
        socket.send_fds(hand, [DEALT], [connection.fileno()])
    except OSError:
        return False
    return True


def _received(leader: socket.socket) -> tuple[bytes, list[socket.socket]]:
    """What was told, b"" at the leader's end, and the connections that came with it."""
    try:
        told, descriptors, _, _ = socket.recv_fds(leader, len(DEALT), 1, socket.MSG_CMSG_CLOEXEC)
    except BlockingIOError:
        return DEALT, []
    except OSError:
        return b"", []
    return told, [socket.socket(fileno=each) for each in descriptors]
