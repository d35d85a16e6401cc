"""What a check-up found, put aside on the disk: of a million records, all may have something wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Self

from model_manager.catalog import docs
from model_manager.catalog.doctor.diagnosing import Ailment
from model_manager.catalog.doctor.doctoring import Examined
from model_manager.catalog.records import Stored
from model_manager.facts import wire


class Notebook:
    """Examined records, once each in their order; gone at the end of the block."""

    def __init__(self) -> None:
        self.count = self.mendable = 0

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, examined: Examined) -> None:
        self.count += 1
        self.mendable += examined.mended is not None
        mended = None if examined.mended is None else docs.doc_of(examined.mended)
        self._file.write(wire.dumps([examined.kind, [*examined.stored], examined.ailments, mended]) + b"\n")

    def __iter__(self) -> Iterator[Examined]:
        self._file.seek(0)
        for line in self._file:
            kind, stored, ailments, mended = wire.loads(line)
            yield Examined(
                kind=kind,
                stored=Stored(*stored),
                ailments=tuple(Ailment(**each) for each in ailments),
                mended=None if mended is None else docs.model_of(mended),
            )
