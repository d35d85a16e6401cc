"""Threads that read files whole: of each device as many at a time as it likes, what is waited for before the rest."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, Literal

from model_manager.errors import DiskUnavailable, Stopped
from model_manager.facts.device import Device
from model_manager.facts.disk import Fingerprint
from model_manager.facts.identity import Algorithm, Digests
from model_manager.library.contents.courtesy import give_way
from model_manager.library.contents.hashing import digest_file, never
from model_manager.library.contents.mapper import Mapper
from model_manager.library.contents.pace import Pace

Haste = Literal["urgent", "background", "scrub"]
"""`urgent`: somebody waits for it. `background`: nobody does. `scrub`: it was read before, and is read again to find rot."""

HASTES: Final[tuple[Haste, ...]] = ("urgent", "background", "scrub")

Read = tuple[Fingerprint, Digests]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    file: str
    algorithms: frozenset[Algorithm]
    haste: Haste
    cancelled: Callable[[], bool]
    progress: Callable[[int], None] | None
    future: Future[Read] = field(default_factory=Future)


class _Lane:
    """One device. Only who has the lock of the readers touches it, except for its paces."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.waiting: dict[Haste, deque[_Job]] = {haste: deque() for haste in HASTES}
        self.running: dict[Haste, int] = dict.fromkeys(HASTES, 0)
        self.paces: dict[Haste, Pace] = {haste: Pace() for haste in HASTES}

    @property
    def first(self) -> Haste | None:
        """The greatest haste of anything that waits or runs."""
        return next((haste for haste in HASTES if self.waiting[haste] or self.running[haste]), None)

    def hold_the_rest(self) -> None:
        """What has less haste than the first pauses where it is, and loses nothing."""
        for haste, pace in self.paces.items():
            pace.held = haste != self.first


class Readers:
    """A pool whose threads end when they have nothing to do. Thread-safe.

    Files of the same haste and device are read in the order in which they were submitted. While something with more haste
    is to be read of a device, readings with less pause. Background and scrub readings let every other program go first,
    keep to their rates, and leave the page cache as they found it.
    """

    def __init__(self, workers: Callable[[Device], int], *, cores: int | None = None) -> None:
        """`workers`: how many files of a device may be read at a time; asked each time that one could begin."""
        self._workers = workers
        self._cores = cores or os.cpu_count() or 1
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._rates: dict[Haste, float | None] = dict.fromkeys(HASTES)
        self._threads: set[threading.Thread] = set()
        self._mappers = {True: Mapper(), False: Mapper()}
        self._closed = False

    def set_rate(self, haste: Haste, rate: float | None) -> None:
        """Bytes per second that all readings of such haste take of each device together, from now on; None for no limit."""
        with self._lock:
            self._rates[haste] = rate
            for lane in self._lanes.values():
                lane.paces[haste].rate = rate

    def submit(
        self,
        file: str,
        algorithms: frozenset[Algorithm],
        *,
        device: Device,
        haste: Haste = "background",
        cancelled: Callable[[], bool] = never,
        progress: Callable[[int], None] | None = None,
    ) -> Future[Read]:
        """What `digest_file` gives or raises, later; `asyncio.wrap_future` makes it awaitable.

        A future that is cancelled before its turn is never read. After that only `cancelled` ends it; it is asked, and
        `progress` told, on the thread that reads. Raises Stopped when the readers were closed.
        """
        job = _Job(file=file, algorithms=algorithms, haste=haste, cancelled=cancelled, progress=progress)
        with self._lock:
            if self._closed:
                raise Stopped(what=f"Reading {file}")
            lane = self._lanes.get(device.name) or self._new_lane(device)
            lane.waiting[haste].append(job)
            self._staff(lane)
        return job.future

    def close(self) -> None:
        """What waits is cancelled, what runs ends with Stopped; back when the last thread is over."""
        with self._lock:
            self._closed = True
            waiting = [job for lane in self._lanes.values() for jobs in lane.waiting.values() for job in jobs]
            for lane in self._lanes.values():
                lane.waiting = {haste: deque() for haste in HASTES}
            threads = tuple(self._threads)
        for job in waiting:
            job.future.cancel()
        for thread in threads:
            thread.join()
        for mapper in self._mappers.values():
            mapper.close()

    def _new_lane(self, device: Device) -> _Lane:
        lane = self._lanes[device.name] = _Lane(device)
        for haste, rate in self._rates.items():
            lane.paces[haste].rate = rate
        return lane

    def _staff(self, lane: _Lane) -> None:
        """Begin what may begin now. Needs the lock."""
        while (
            (haste := lane.first) and lane.waiting[haste] and lane.running[haste] < max(1, self._workers(lane.device))
        ):
            self._begin(lane, lane.waiting[haste].popleft())
        lane.hold_the_rest()
        if lane.first is None:
            self._lanes.pop(lane.device.name, None)

    def _begin(self, lane: _Lane, job: _Job) -> None:
        thread = threading.Thread(target=self._work, args=(lane, job), name=f"model-{job.haste}", daemon=True)
        lane.running[job.haste] += 1
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more threads
            lane.running[job.haste] -= 1
            self._threads.discard(thread)
            job.future.set_exception(DiskUnavailable(path=job.file, doing="read", why=str(error)))

    def _work(self, lane: _Lane, job: _Job) -> None:
        """One thread for one file: a thread that gave way cannot take it back."""
        try:
            self._read(lane, job)
        finally:
            with self._lock:
                lane.running[job.haste] -= 1
                self._threads.discard(threading.current_thread())
                self._staff(lane)

    def _read(self, lane: _Lane, job: _Job) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        if job.haste != "urgent":
            give_way()
        try:
            read = digest_file(
                job.file,
                job.algorithms,
                progress=job.progress,
                cancelled=lambda: self._closed or job.cancelled(),
                pace=lane.paces[job.haste],
                threads=max(1, self._cores // max(1, lane.running[job.haste])),
                lasting=job.haste == "urgent",
                mapper=self._mappers[job.haste == "urgent"],
            )
        except BaseException as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(read)
