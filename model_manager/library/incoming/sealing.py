"""What becomes of the bytes of an unfinished file: their hash taken up again, all of them written at once, the proof at the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from model_manager.errors import OriginUnavailable
from model_manager.facts.identity import FULL, Algorithm, Digests
from model_manager.facts.transfer import Received
from model_manager.library.contents.hashing import Hasher
from model_manager.library.disk import translating
from model_manager.library.incoming.buffers import Buffers
from model_manager.library.incoming.extents import Extents
from model_manager.library.incoming.journal import Journal
from model_manager.library.incoming.mill import Mill, spoilt
from model_manager.library.incoming.outfile import Charge, OutFile
from model_manager.library.incoming.spool import Spool


def taken_up(
    known: Journal,
    algorithms: frozenset[Algorithm],
    buffers: Buffers,
    *,
    every: int,
    seconds: float,
    rereads: bool,
) -> tuple[Hasher, Spool]:
    """What goes on with the bytes that the journal names, the hash as far as its state was written down. See Spool."""
    saved = known.hashed if known.hashed and known.hashed.offset <= known.reached else None
    threads = 2 if algorithms >= FULL else 1
    hasher = Hasher(algorithms, savable=True, state=bytes.fromhex(saved.state) if saved else None, threads=threads)
    state = hasher.save()
    hashed = saved.offset if saved and state else 0
    spool = Spool(buffers, Extents(known.extents), hashed, state, every=every, seconds=seconds, rereads=rereads)
    return hasher, spool


def length(path: str, known: Journal, written: Extents) -> int:
    """Bytes of the whole file. Raises OriginUnavailable when some are missing."""
    size = written.last if known.total is None else known.total
    if (reached := written.end_from(0)) < size:
        why = f"it ended after {reached} of {size} bytes"
        raise OriginUnavailable(host=known.host, name=path, why=why)
    return size


def written(out: OutFile, views: list[memoryview], hasher: Hasher, charge: Charge) -> None:
    """Every byte of a short file in its place and hashed; `charge` is told of them before. After a failure the file is empty.

    Raises OSError and NoSpace.
    """
    try:
        charge(sum(map(len, views)))
        out.write(list(views), 0)
    except BaseException:
        with suppress(OSError):  # it has no journal: the next start empties it
            out.empty()
        raise
    for view in views:
        hasher.update(view)


def proven(
    path: str, mill: Mill, out: OutFile, size: int, hashers: tuple[Hasher, Hasher], cancelled: Callable[[], bool]
) -> Digests:
    """The digests, when the file has as many bytes as were written, and those: one hasher had them from memory, the other
    reads them where that is in doubt.

    Raises Corrupt, Stopped and DiskUnavailable.
    """
    hasher, again = hashers
    digests = hasher.digests()
    with translating(path, "read"):
        mill.spoilt = os.fstat(out.fd).st_size != size
        if not mill.spoilt and not out.whole(size):
            mill.digest_again(size, cancelled, again)
            mill.spoilt = again.digests() != digests
    if mill.spoilt:
        raise spoilt(path)
    return digests


def as_received(known: Journal, size: int, digests: Digests, fetched: int) -> Received:
    """What a complete file is, under the offer that it was read under; `fetched` bytes of it crossed the network."""
    return Received(
        size=size,
        digests=digests,
        promise=known.promise,
        host=known.host,
        validator=known.validator,
        fetched=fetched,
    )
