"""Hints that something changed on disk. Only hints: watchers lose events under load without a sign, so a full look at
every root from time to time remains the truth."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from typing import Final, Literal

from watchfiles import Change, watch
from watchfiles.main import FileChange

from model_manager.errors import printable
from model_manager.library.markers import PARTIAL, QUARANTINE, TRASH
from model_manager.library.mounts import MOUNTS, remote_part

Mode = Literal["starting", "inotify", "polling"]

TICK: Final = 500
"""Milliseconds between looks at whether the roots themselves were exchanged; a cancelled watch ends within it."""

POLL: Final = 2000
"""Milliseconds between two polls of a tree that cannot be watched."""

PATIENCE: Final = 20
"""A tree that is polled is left alone for that many times as long as a poll takes."""

DEAF: Final = 5
"""Polls to wait after one that failed (a directory that we may not read fails all of them)."""

STEP: Final = 5
"""Milliseconds without news after which news are told; DEBOUNCE is how long they are gathered at most while more come. The watcher
looks so often, too: it takes 0.7 % of a processor while nothing happens, and 0.4 % with 20, which the fleet hears of 35 ms later."""

DEBOUNCE: Final = 100

CROWD: Final = 20
"""Paths at once after which news are gathered for DEBOUNCE before they are told: of a burst nobody waits for the first file, and each
telling costs a look and a transaction."""

BURST: Final = 1000
"""Paths at once beyond which the whole roots are looked at: the kernel's queue (max_queued_events, mostly 16,384) may have
overflowed, which the watcher does not tell, and one look at everything is cheaper than so many at one."""

GAP: Final = 5.0
"""Seconds between two steps beyond which we were stopped, and the queue may have overflowed meanwhile."""

DESCRIPTORS: Final = "/proc/self/fd"

_OURS: Final = (f"/{PARTIAL}/", f"/{QUARANTINE}/", f"/{TRASH}/", "/.git/")

Identities = dict[str, tuple[int, int] | None]


class Watcher:
    """Watches roots recursively. `mode` is how, and `why` the reason for polling, if it polls."""

    def __init__(self, roots: Sequence[str], *, poll: int = POLL, mounts: str = MOUNTS) -> None:
        """`poll`: milliseconds between polls, at least. `mounts`: the kernel's list of mounts (proc_pid_mountinfo(5))."""
        self.mode: Mode = "starting"
        self.why = ""
        self._roots = tuple(roots)
        self._poll = poll
        self._mounts = mounts
        self._unwatchable = False

    def follow(self, roots: Sequence[str]) -> None:
        """Watch these from now on; the watch begins anew when they are others."""
        self._roots = tuple(roots)

    async def changes(self, stop: asyncio.Event | None = None) -> AsyncGenerator[frozenset[str], None]:
        """Paths at which something changed, until `stop`. The roots themselves are among them whenever the watch begins
        anew (the first time too): then look at everything once, for changes in between were not seen.

        They are among them, too, after a burst so large, or a stop of this process so long, that the kernel may have
        dropped changes. It begins anew when a root was deleted, recreated or mounted over, when a linked directory
        appeared, and after every fault of the watcher; it polls where it cannot watch. It never ends by itself and
        raises nothing.
        """
        stop = stop or asyncio.Event()
        thread = ThreadPoolExecutor(1, "watching")
        try:
            while not stop.is_set():
                async with aclosing(self._armed(thread, stop)) as armed:
                    async for paths in armed:
                        yield paths
        finally:
            thread.shutdown(wait=False)

    async def _armed(self, thread: ThreadPoolExecutor, stop: asyncio.Event) -> AsyncGenerator[frozenset[str], None]:
        """One watch, from arming to its end."""
        loop, ended = asyncio.get_running_loop(), _Ended(stop)
        await loop.run_in_executor(thread, self._choose)
        watching = _Watch(self._roots, self.mode == "polling", self._poll, ended)
        armed = False
        try:
            while True:
                step = await loop.run_in_executor(thread, watching.step)
                if step is None or watching.roots != self._roots:
                    return
                if not armed:
                    armed = True
                    yield frozenset(self._roots)
                if step:
                    yield step
                if len(step) > CROWD:
                    await asyncio.sleep(DEBOUNCE / 1000)
        except _Fault as fault:
            polled = self.mode == "polling"
            if fault.unwatchable:
                self.mode, self.why, self._unwatchable = "polling", fault.why, True
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), DEAF * self._poll / 1000 if polled else TICK / 1000)
            if polled and not armed:
                yield frozenset(self._roots)
        finally:
            ended.own = True
            thread.submit(watching.close)

    def _choose(self) -> None:
        """Whether to watch or to poll: a linked directory may have brought a network file system into a tree."""
        if not self._unwatchable:
            self.why = remote_part(self._roots, self._mounts)
            self.mode = "polling" if self.why else "inotify"


class _Fault(Exception):
    """The watcher failed; its own exceptions say nothing but a text."""

    def __init__(self, why: str, *, unwatchable: bool) -> None:
        super().__init__(why)
        self.why = why
        self.unwatchable = unwatchable


class _Ended:
    """An event for the watcher's thread: the caller's stop, or our own."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.own = False
        self._stop = stop

    def is_set(self) -> bool:
        return self.own or self._stop.is_set()


class _Watch:
    """The blocking side, in one thread."""

    def __init__(self, roots: tuple[str, ...], polling: bool, poll: int, ended: _Ended) -> None:
        self.roots = roots
        self._polling = polling
        self._poll = poll
        self._ended = ended
        self._before = _identities(roots)
        self._changes: Generator[set[FileChange], None, None] | None = None
        self._stepped = time.monotonic()

    def step(self) -> frozenset[str] | None:
        """Changed paths of about one tick, perhaps none; None when the watch has to begin anew or to end."""
        if self._ended.is_set() or _identities(self.roots) != self._before:
            return None
        if not any(self._before.values()):
            time.sleep(TICK / 1000)
            return frozenset()
        changes = self._next()
        missed = self._stood_still() or (changes is not None and len(changes) > BURST)
        if changes is None or any(self._begins_anew(change, path) for change, path in changes):
            return None
        if not self._polling:
            self._insist_heard([path for change, path in changes if change is Change.added and os.path.isdir(path)])
        return frozenset(self.roots) if missed else frozenset(path for _, path in changes)

    def _stood_still(self) -> bool:
        before, self._stepped = self._stepped, time.monotonic()
        return not self._polling and self._stepped - before > GAP

    def _begins_anew(self, change: Change, path: str) -> bool:
        """A linked directory came, into which a poll looks by itself, or a root left: one that is made again may get the
        same inode number."""
        linked = not self._polling and os.path.islink(path) and os.path.isdir(path)
        return linked or (change is Change.deleted and path in self.roots)

    def _next(self) -> set[FileChange] | None:
        # Not only OSError: the library's own exception derives from Exception alone, and a path that is no UTF-8 raises it.
        try:
            return self._arm() if self._changes is None else next(self._changes, None)
        except _Fault:
            raise
        except Exception as error:
            arming = self._changes is None and not isinstance(error, FileNotFoundError)
            raise _Fault(printable(error), unwatchable=arming and not self._polling) from error

    def _arm(self) -> set[FileChange] | None:
        there = [root for root, identity in self._before.items() if identity]
        started = time.monotonic()
        begun = self._begin(there, self._poll)
        first = next(begun, None)
        pause = round(
            ((time.monotonic() - started) * 1000 - TICK) * PATIENCE
        )  # arming polls once, then waits for a tick
        if self._polling and pause > 2 * self._poll:
            begun.close()
            begun = self._begin(there, pause)
            first = next(begun, None)
        self._changes = begun
        if not self._polling:
            self._insist_heard(there)
        self._stepped = time.monotonic()
        return first

    def _begin(self, there: list[str], poll: int) -> Generator[set[FileChange], None, None]:
        return watch(
            *there,
            watch_filter=lambda _, path: not any(part in path for part in _OURS),
            debounce=DEBOUNCE,
            step=STEP,
            rust_timeout=TICK,
            yield_on_timeout=True,
            stop_event=self._ended,
            raise_interrupt=False,
            force_polling=self._polling,
            poll_delay_ms=poll,
            ignore_permission_denied=True,
        )

    def _insist_heard(self, directories: list[str]) -> None:
        """Watch these once more for a moment: whoever may ignore unreadable directories ignores a used-up limit as well."""
        before = _descriptors()
        try:
            if directories:
                probe = watch(*directories, rust_timeout=1, yield_on_timeout=True, recursive=False)
                next(probe, None)
                probe.close()
                _await_closed(before)
        except FileNotFoundError:
            return  # it left meanwhile; the look at the roots notices
        except Exception as error:
            if not isinstance(error, PermissionError):
                raise _Fault(printable(error), unwatchable=True) from error

    def close(self) -> None:
        if self._changes is not None:
            self._changes.close()


def _descriptors() -> int:
    """How many of this process are inotify's; 0 where that is not told."""
    number = 0
    with suppress(OSError):
        for each in os.scandir(DESCRIPTORS):
            with suppress(OSError):
                number += os.readlink(each.path) == "anon_inode:inotify"
    return number


def _await_closed(number: int) -> None:
    """A thread of the library's own closes it, and until then the last watch that a user has may be the one that is missing."""
    until = time.monotonic() + TICK / 1000
    while _descriptors() > number and time.monotonic() < until:
        time.sleep(0.001)


def _identities(roots: Sequence[str]) -> Identities:
    """What each root is now: another directory, or a mount over it, has another identity."""
    found: Identities = dict.fromkeys(roots)
    for root in roots:
        with suppress(OSError):
            state = os.stat(root)
            found[root] = (state.st_dev, state.st_ino)
    return found
