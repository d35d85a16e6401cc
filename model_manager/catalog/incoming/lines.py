"""Lines of a large import, read and judged by processes beside this one, in their order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from typing import IO, Any, Final, cast

from model_manager.catalog import docs
from model_manager.catalog.incoming.findings import Finding, Incoming, found
from model_manager.catalog.incoming.intake import incoming
from model_manager.catalog.records import Kind
from model_manager.errors import BadRecord, Broken
from model_manager.facts import wire

FEW: Final = 5000
"""Lines that are read here: starting processes takes half a second."""

TOGETHER: Final = 500
"""Lines that a process reads at once."""

Line = tuple[int, bytes]

KINDS: Final[dict[object, Kind]] = {"model": "model", "workflow": "workflow", "collection": "collection"}


def read(lines: Iterable[Line]) -> Iterator[Incoming]:
    """The records of numbered lines. Not this process's own work where there are many, and a processor to spare."""
    rest = iter(lines)
    yield from read_here(islice(rest, FEW))
    first = list(islice(rest, TOGETHER))
    workers = min(3, len(os.sched_getaffinity(0)) - 1)
    if first and workers > 0:
        yield from _read_aside(first, rest, workers)
    else:
        yield from read_here(first)
        yield from read_here(rest)


def read_here(lines: Iterable[Line]) -> Iterator[Incoming]:
    for number, line in lines:
        if line.strip():
            yield _record(f"line {number}", line)


def _read_aside(first: Sequence[Line], rest: Iterator[Line], workers: int) -> Iterator[Incoming]:
    """Each process has one list of lines in hand; their answers are taken in turn."""
    with ExitStack() as stack:
        waiting: deque[_Aside] = deque()
        for chunk in chain([first], (list(islice(rest, TOGETHER)) for _ in range(workers - 1))):
            if chunk:
                waiting.append(stack.enter_context(_Aside()))
                waiting[-1].give(chunk)
        while waiting:
            worker = waiting.popleft()
            records = worker.take()
            if chunk := list(islice(rest, TOGETHER)):
                worker.give(chunk)
                waiting.append(worker)
            yield from records


class _Aside:
    """A process of ours that reads lines; it ends when nobody gives it any."""

    def __enter__(self) -> _Aside:
        command = [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._to, self._from = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def give(self, lines: Sequence[Line]) -> None:
        """Bytes as the letters of their number: they need not be text."""
        _send(self._to, [[number, line.decode("latin-1")] for number, line in lines])

    def take(self) -> list[Incoming]:
        """Raises Broken when it died."""
        heard = _receive(self._from)
        if heard is None:
            raise Broken(what=f"A process that reads an import ended with {self._process.poll()}.")
        return [_heard(*each) for each in heard]


def serve() -> None:
    """Lines from our parent, records to it, until it ends. Ctrl+C is for the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while (lines := _receive(sys.stdin.buffer)) is not None:
        read = read_here((number, line.encode("latin-1")) for number, line in lines)
        _send(sys.stdout.buffer, [_said(each) for each in read])


def _send(stream: IO[bytes], value: object) -> None:
    stream.write(wire.dumps(value) + b"\n")
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    """None when nobody is there any more."""
    line = stream.readline()
    return wire.loads(line, "the other process") if line.endswith(b"\n") else None


def _said(incoming: Incoming) -> list[Any]:
    record = incoming.record
    doc = None if record is None else docs.doc_of(record)
    kind = None if record is None else docs.kind_of(record)
    return [kind, doc, incoming.findings, incoming.where, incoming.current, incoming.slot]


def _heard(kind: Kind | None, doc: Any, told: Any, where: str, current: bool, slot: list[str] | None) -> Incoming:
    return Incoming(
        record=None if kind is None else docs.record_of(kind, doc),
        findings=tuple(Finding(**each) for each in told),
        where=where,
        current=current,
        slot=None if slot is None else (slot[0], slot[1]),
    )


def _record(where: str, line: bytes) -> Incoming:
    try:
        raw = wire.loads_unique(line, where)
    except BadRecord as error:
        return Incoming(record=None, findings=(found(where, str(error.facts["why"]), "left out"),), where=where)
    said = raw.get("kind", "model") if isinstance(raw, dict) else "model"
    kind = KINDS.get(said) if isinstance(said, str) else None
    if kind is None:
        return Incoming(record=None, findings=(found(where, "its kind is unknown", "left out"),), where=where)
    return incoming(kind, raw, where)
