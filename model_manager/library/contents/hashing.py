"""Full digests of bytes and files, in one pass."""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from blake3 import blake3

from model_manager.errors import BadContent, StillChanging, Stopped
from model_manager.facts.disk import Fingerprint
from model_manager.facts.identity import Algorithm, Digests
from model_manager.library.contents.belt import BLOCK, Belt
from model_manager.library.contents.mapper import Mapper, worth
from model_manager.library.contents.pace import Pace
from model_manager.library.contents.traces import Traces
from model_manager.library.disk import fingerprint, opened, translating
from model_manager.library.incoming.midstate import resumable

if TYPE_CHECKING:
    from hashlib import _Hash

CHUNK: Final = 1024 * 1024
"""Bytes hashed at a time by one thread: larger buffers leave the processor's cache and are slower."""

SMALL: Final = 2 * BLOCK
"""Bytes of a file up to which more threads cost more than they bring."""

BOTH: Final[frozenset[Algorithm]] = frozenset({"sha256", "blake3"})
"""The full digests."""

_MAX_HEADER: Final = 100_000_000
"""Bytes of a safetensors header; its reference parser refuses more."""

_COSTS: Final[dict[Algorithm, float]] = {"sha256": 1.0, "tensor": 1.0, "md5": 0.8, "blake3": 0.2, "crc32": 0.2}
"""Processor time per byte, for dealing out the work: SHA-256 is the measure."""


class _Part(Protocol):
    def update(self, data: bytes | memoryview, /) -> object: ...

    def hexdigest(self) -> str | None: ...


class Hasher:
    """Exactly the digests that are asked for; AutoV2 is the beginning of SHA-256, and without a full digest that is added."""

    def __init__(
        self,
        algorithms: frozenset[Algorithm] = BOTH,
        *,
        savable: bool = False,
        state: bytes | None = None,
        threads: int = 1,
    ) -> None:
        """`savable`: make `save` possible where it is (SHA-256 alone). `state`: what `save` gave for the bytes before.

        `threads`: how many may hash at a time. Those of a BLAKE3 that is asked for alone are its own, with the priority of the
        thread that made it; the pool that all BLAKE3s share would keep the priority of whoever came first.
        """
        wants_sha256 = bool(algorithms & {"sha256", "autov2"}) or "blake3" not in algorithms
        alone = wants_sha256 and algorithms <= {"sha256", "autov2"}
        self._saving = resumable(state) if alone and savable else None
        self._threads = threads
        self._parts: dict[Algorithm, _Part] = {}
        if wants_sha256:
            self._parts["sha256"] = self._saving or hashlib.sha256()
        if "blake3" in algorithms:
            self._parts["blake3"] = blake3(max_threads=threads if algorithms == {"blake3"} else 1)
        if "md5" in algorithms:
            self._parts["md5"] = hashlib.md5(usedforsecurity=False)
        if "crc32" in algorithms:
            self._parts["crc32"] = _Crc32()
        if algorithms & {"autov3", "tensor"}:
            self._parts["tensor"] = _Tensor()

    def update(self, data: bytes | memoryview) -> None:
        for part in self._parts.values():
            part.update(data)

    def shares(self) -> list[Callable[[memoryview], None]]:
        """What threads may do beside each other instead of `update`: each share wants every byte, in order."""
        shares: list[list[Algorithm]] = [[] for _ in range(min(self._threads, len(self._parts)))]
        for name in sorted(self._parts, key=_COSTS.__getitem__, reverse=True):
            min(shares, key=lambda share: sum(_COSTS[one] for one in share)).append(name)
        return [_together([self._parts[name] for name in share]) for share in shares]

    @property
    def spreads(self) -> bool:
        """Whether threads are to work beside each other, if only one that reads beside one that hashes."""
        return self._threads > 1

    def save(self) -> bytes | None:
        """The state after everything so far, None where it cannot be saved."""
        return self._saving.save() if self._saving else None

    def digests(self) -> Digests:
        """Of everything so far; more may follow."""
        return Digests(**{name: part.hexdigest() for name, part in self._parts.items()})


def _together(parts: list[_Part]) -> Callable[[memoryview], None]:
    def update(data: memoryview) -> None:
        for part in parts:
            part.update(data)

    return update


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class _Tensor:
    """SHA-256 of what follows the safetensors header (kohya-ss sd-scripts, addnet_hash_safetensors)."""

    def __init__(self) -> None:
        self._length = b""
        self._skip: int | None = None
        self._hash: _Hash = hashlib.sha256()
        self._any = False

    def update(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        if self._skip is None:
            missing = 8 - len(self._length)
            self._length += bytes(view[:missing])
            view = view[missing:]
            if len(self._length) < 8:
                return
            self._skip = int.from_bytes(self._length, "little")
        past = min(self._skip, len(view))
        self._skip -= past
        if past < len(view) and self._plausible:
            self._any = True
            self._hash.update(view[past:])

    @property
    def _plausible(self) -> bool:
        return len(self._length) == 8 and int.from_bytes(self._length, "little") <= _MAX_HEADER

    def hexdigest(self) -> str | None:
        """64 hex digits, or None for bytes that cannot be safetensors: a digest of nothing would fit every broken file."""
        return self._hash.hexdigest() if self._plausible and self._any else None


def never() -> bool:
    """The `cancelled` of callers that are never cancelled."""
    return False


def digest_file(
    file: str,
    algorithms: frozenset[Algorithm] = BOTH,
    *,
    progress: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] = never,
    pace: Pace | None = None,
    threads: int | None = None,
    lasting: bool = True,
    mapper: Mapper | None = None,
) -> tuple[Fingerprint, Digests]:
    """Exactly the `algorithms` of a whole file (without a full digest SHA-256, too), read once, through at most 8 MiB of memory.

    `progress` is told the bytes hashed so far: after each MiB, or each 4 MiB of a large file on several threads, some of them
    more than once. `cancelled` is asked as often, and ten times a second while the disk or the `pace` lets us wait; both on
    the caller's thread. `threads`: how many may hash at a time, one a core by default; with 1 nothing leaves the caller's
    thread. Not `lasting`: pages that came into memory only for this go again.

    The file is read, never mapped: a mapped one that is cut short, or that its disk cannot read, ends the process. BLAKE3
    alone of a large file may be taken by a process of the `mapper`, unless the pace has a rate, which a large file would jump
    over in a few steps; when that process ends, the file is read after all.

    The digests are those of one calm file: its fingerprint is the same before and after. Raises StillChanging when it is
    not (or when the file left), BadContent for what is no regular file (it is not read: a FIFO cannot hang us), Stopped
    when `cancelled` answers True, and DiskUnavailable.
    """
    with opened_calm(file) as (fd, before):
        threads = 1 if before.size <= SMALL else threads or os.cpu_count() or 1
        reading = _Reading(fd, file, before.size, cancelled, pace, None if lasting else Traces(fd, before.size))
        digests = None
        if mapper is not None and algorithms == {"blake3"} and not (pace and pace.rate) and worth(fd, before.size):
            digests = reading.mapped(mapper, threads, progress)
        if digests is None:
            hasher = Hasher(algorithms, threads=threads)
            reading.spread(hasher, progress) if hasher.spreads else reading.plainly(hasher, progress)
            digests = hasher.digests()
        if fingerprint(os.stat(file)) != before:
            raise StillChanging(path=file, why="changed")
    return before, digests


@contextmanager
def opened_calm(file: str) -> Iterator[tuple[int, Fingerprint]]:
    """Descriptor and fingerprint of a regular file. Raises StillChanging when it left, BadContent, and DiskUnavailable, also
    for OSErrors of the block."""
    with translating(file, "read"):
        try:
            with opened(file, os.O_RDONLY | os.O_NONBLOCK) as fd:
                state = os.fstat(fd)
                if not stat.S_ISREG(state.st_mode):
                    raise BadContent(name=file, why="it is not a regular file")
                yield fd, fingerprint(state)
        except FileNotFoundError:
            raise StillChanging(path=file, why="was removed") from None


class _Reading:
    """Reads one open file for a hasher."""

    def __init__(
        self, fd: int, file: str, size: int, cancelled: Callable[[], bool], pace: Pace | None, traces: Traces | None
    ) -> None:
        self._fd = fd
        self._file = file
        self._size = size
        self._cancelled = cancelled
        self._pace = pace
        self._traces = traces
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def plainly(self, hasher: Hasher, progress: Callable[[int], None] | None) -> None:
        """On this thread."""
        memory, done = memoryview(bytearray(CHUNK)), 0
        while got := self._fill(memory, done, self._cancelled):
            self._insist_wanted()
            hasher.update(memory[:got])
            done += got
            if progress is not None:
                progress(done)

    def spread(self, hasher: Hasher, progress: Callable[[int], None] | None) -> None:
        """On several threads."""

        def tick(done: int) -> None:
            self._insist_wanted()
            if progress is not None:
                progress(done)

        Belt(self._fill, hasher.shares()).run(tick)

    def mapped(self, mapper: Mapper, threads: int, progress: Callable[[int], None] | None) -> Digests | None:
        """BLAKE3 by another process; None where it ended."""
        told = 0

        def tick(done: int) -> None:
            nonlocal told
            self._insist_wanted()
            if self._traces is not None:
                self._traces.wipe(told - told % BLOCK, done)
            if progress is not None and done > told:
                progress(done)
            told = done

        found = mapper.blake3(self._fd, self._size, threads, lambda start, stop: self._pay(stop - start), tick)
        return Digests(blake3=found) if found else None

    def _pay(self, due: int, over: Callable[[], bool] | None = None) -> None:
        """Wait until so many bytes may be read. Raises Stopped."""
        if self._pace is not None and due > 0 and not self._pace.take(due, over or self._cancelled):
            raise Stopped(what=f"Reading {self._file}")

    def _insist_wanted(self) -> None:
        if self._cancelled():
            raise Stopped(what=f"Reading {self._file}")

    def _fill(self, memory: memoryview, start: int, over: Callable[[], bool]) -> int:
        """Bytes that are there now: all that fit, or up to the end of the file."""
        self._pay(min(len(memory), self._size - start), over)
        got = 0
        while got < len(memory) and (more := os.preadv(self._fd, [memory[got:]], start + got)):
            got += more
        end = start + got
        if self._traces is not None and (got < len(memory) or end % BLOCK == 0):
            self._traces.wipe(start - start % BLOCK, end)
        return got
