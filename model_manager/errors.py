"""The one tree of failures, sorted by what to do next.

    ModelManagerError
    ├── Refused                never as asked; change the request            exit 65
    │   ├── BadSetting         a setting is wrong                            exit 78
    │   ├── BadSettings        every wrong setting at once                   exit 78
    │   ├── BadPath            a path that would leave the shelves
    │   ├── BadRecord          a catalog record that cannot be used (BadAssignment: an assignment; BadWorkflow; BadManifest)
    │   ├── CatalogConflict    the catalog has something else under this name (CatalogChanged: it changed meanwhile)
    │   ├── BadUrl             an address that is never fetched
    │   ├── BadRequest         a request to the agent that cannot be meant so
    │   ├── BadOrder           an order through Redis that nobody can carry out
    │   ├── BadContent         bytes that are not the kind of file promised
    │   ├── BadForeign         a file of another program that cannot be read as what it should be
    │   ├── Occupied           somebody else's file is where ours should go
    │   ├── NotReplaced        a copy that stays a file of its own
    │   ├── StrangeAnswer      a service speaks a language that this version does not know
    │   ├── NotAuthorized      the origin wants a (better) token
    │   │   └── NotPublic      it wants one, and none of our tokens is for this host
    │   ├── NotFound           the origin or the catalog does not have it
    │   │   ├── NoSuchModel    the index does not have it, or has it under another name
    │   │   └── NoSuchJob      nobody submitted it, or its record is gone
    │   ├── JobOver            what a job was asked for comes too late
    │   ├── LeaseLost          a worker's job is not its own any more
    │   └── AlreadyRunning     another manager owns this state or machine id exit 75
    ├── Unavailable            not now; wait `retry_after` seconds           exit 75
    │   ├── OriginUnavailable · CatalogUnavailable (CatalogUnreachable: not even an answer) · ComfyUIAway · BusUnavailable
    │   ├── NoSpace            the disk floor would be crossed
    │   │   └── NoInodes       the file system can hold no more files
    │   ├── DiskUnavailable    the disk refused to read, write, sync or rename
    │   ├── StillChanging      a file changed while it was read
    │   ├── Stopped            we were asked to stop in the middle
    │   ├── RootAway           a models directory is not mounted
    │   ├── ForeignBusy        another program is writing its own database
    │   ├── NotBrought         models that a person asked for did not come
    │   ├── AgentAway          no agent answers on this machine's socket
    │   ├── NotServing         a machine gets no jobs for now
    │   ├── AggregatorAway     no aggregator of the fleet answers at the address
    │   ├── StoreUnavailable   what the aggregator keeps cannot be read or written
    │   └── IndexUnavailable   the index is locked by somebody else
    │       ├── IndexFull      the disk below it is full
    │       ├── NoIndex        there is none that could be read (NothingIndexed: there never was one)
    │       └── IndexTooNew    a newer program wrote the index
    ├── Corrupt                these bytes are not the promised ones: discard, take the next origin   exit 74
    │   ├── PieceCorrupt       one range of it is not what its own digest says: fetch that range again
    │   └── RangeBeyond        the object ends where we wanted to go on: compare lengths, hash, finish or discard
    └── Broken                 ours: crash, the supervisor restarts          exit 70
        └── IndexDamaged       the index is made anew from the disk          exit 75

The docstring of a class is its message; its fields fill the braces. Exit codes are those of sysexits.h.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar


def printable(text: object, limit: int = 300) -> str:
    """Text from outside on one line: control characters, bidi overrides and lone surrogates escaped, cut at `limit`."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return line if len(line) <= limit else line[: limit - 1] + "…"


class ModelManagerError(Exception):
    """{what}"""

    exit_code: ClassVar[int] = 70

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        template = inspect.cleandoc(type(self).__doc__ or "{}")
        super().__init__(template.format_map({key: printable(value) for key, value in facts.items()}))


class Refused(ModelManagerError):
    """{what}"""

    exit_code = 65


class BadSetting(Refused):
    """{name}: {why}. {fix}"""

    exit_code = 78


class BadPath(Refused):
    """The path '{path}' is refused: {why}. Write '<folder>/<file>' below the models directory."""


class BadRecord(Refused):
    """The catalog's record of '{name}' cannot be used: {why}. Correct the record in the catalog."""


class BadAssignment(BadRecord):
    """The assignment '{name}' is refused whole: {why}. Correct it; the previous one stays."""


class BadWorkflow(BadRecord):
    """The workflow '{name}' cannot be used: {why}. Save it again in ComfyUI, or name another file."""


class BadManifest(BadRecord):
    """The manifest '{name}' cannot be used: {why}. Correct it there; nothing was changed."""


class CatalogConflict(Refused):
    """The {kind} '{name}' is not written: {why}. {fix}"""


class CatalogChanged(CatalogConflict):
    """The {kind} '{name}' was changed meanwhile. Read it again, and write it with its new ETag."""


class BadUrl(Refused):
    """The address '{url}' is refused: {why}. Correct the download address in the catalog."""


class BadContent(Refused):
    """'{name}' is not a model file: {why}. Check the download address, or allow the format by name."""


class BadRequest(Refused):
    """The request is refused: {why}. {fix}"""


class BadOrder(Refused):
    """The order '{id}' is refused: {why}. Correct it and send it again under another id."""


class BadForeign(Refused):
    """'{path}' of another program cannot be read: {why}. Name the right file, or go on without it: nothing here needs it."""


class Occupied(Refused):
    """'{path}' is taken: {why}. Move that file away, or let it be judged; it is never overwritten."""


class NotReplaced(Refused):
    """'{path}' stays a file of its own: {why}. {fix}"""


class StrangeAnswer(Refused):
    """{host} answers '{name}' in a form that this version does not know: {why}. What is known stays; update model_manager."""


class NotAuthorized(Refused):
    """{host} answered {status} for '{name}': {why}. Set {token} (or {token}_FILE) and reload."""


class NotPublic(NotAuthorized):
    """{host} answered {status} for '{name}': {why}. No token of ours is for this host: put another address in the catalog."""


class NotFound(Refused):
    """{where} does not have '{name}'. Check the name, or add it there."""


class NoSuchModel(NotFound):
    """The index does not have '{name}'. {hint}"""


class NoSuchJob(NotFound):
    """There is no job '{name}'. 'model-manager jobs list' shows those that wait and run; ended ones are kept for a while."""


class JobOver(Refused):
    """The job '{name}' is {state} already. Submit it anew under another id."""


class LeaseLost(Refused):
    """The job '{name}' is not this worker's any more: {why}. Drop what was made of it; who has it now delivers it."""


class AlreadyRunning(Refused):
    """{what} Stop the other one, or give this one its own {fix}."""

    exit_code = 75


class Unavailable(ModelManagerError):
    """{what}"""

    exit_code = 75

    def __init__(self, *, retry_after: float | None = None, **facts: Any) -> None:
        """`retry_after`: seconds that the other side asked us to wait, if it did."""
        super().__init__(**facts)
        self.retry_after = retry_after


class OriginUnavailable(Unavailable):
    """{host} did not deliver '{name}': {why}. It is tried again by itself."""


class StoreUnavailable(Unavailable):
    """The fleet's store {path} cannot be used: {why}. See that its directory exists, is ours and has room."""


class CatalogUnavailable(Unavailable):
    """The catalog at {host} did not answer usefully: {why}. It is asked again by itself."""


class CatalogUnreachable(CatalogUnavailable):
    """The catalog at {host} cannot be reached: {why}. It is asked again by itself."""


class ComfyUIAway(Unavailable):
    """The ComfyUI at {host} could not be asked: {why}. See that it runs there and takes requests, or leave --live out."""


class BusUnavailable(Unavailable):
    """Redis is not available: {why}. Check REDIS_URL and the server; what the agent has to tell waits in its outbox."""


class NoSpace(Unavailable):
    """{root} has {free} bytes free; '{name}' needs {need} above the floor of {floor}. Free space, or lower the floor."""


class NoInodes(NoSpace):
    """{root} can hold only {free} more files (inodes); '{name}' needs {need}. Remove files, or enlarge the file system."""


class DiskUnavailable(Unavailable):
    """The disk would not {doing} {path}: {why}. Check its mount, permissions and health; it is tried again by itself."""


class StillChanging(Unavailable):
    """The file {path} {why} while it was read. It is read again when it is calm."""


class Stopped(Unavailable):
    """{what} was stopped before its end. It goes on at the next start."""


class RootAway(Unavailable):
    """The models directory {root} is away: {why}. Mount it; nothing is deleted or announced as removed meanwhile."""


class ForeignBusy(Unavailable):
    """'{path}' is in use by its own program: {why}. Read it again when that program is idle."""


class NotBrought(Unavailable):
    """{count} of {of} models could not be had: {why}. What came stays; run the command again, or name another source."""


class AgentAway(Unavailable):
    """No agent answers at {socket}: {why}. Start it: 'model-manager run', or 'pm2 start ecosystem.config.cjs'."""


class NotServing(Unavailable):
    """The machine '{machine}' gets no jobs now: {why}. {fix}"""


class AggregatorAway(Unavailable):
    """No aggregator answers at {url}: {why}. Start it ('model-manager fleet serve'), or leave --url out to read Redis."""


class IndexUnavailable(Unavailable):
    """The index {path} is not usable now: {why}. Close what holds it open; we wait."""


class IndexFull(IndexUnavailable):
    """The index {path} cannot be written: the disk below it is full ({why}). Free space there; what was learnt before stays."""


class NoIndex(IndexUnavailable):
    """The index {path} cannot be read: {why}. The agent ('model-manager run') makes and mends it; without one, 'model-manager model index sync' does."""


class NothingIndexed(NoIndex):
    """There is no index in {state} yet. 'model-manager model dir add DIRECTORY' begins one; 'model-manager model index sync' makes a lost one anew."""


class IndexTooNew(IndexUnavailable):
    """The index {path} has schema {found}; this version knows {known}. Start the newer version, or move the file away."""


class Corrupt(ModelManagerError):
    """'{name}' from {host} is not what was promised: {why}. The bytes were discarded."""

    exit_code = 74


class PieceCorrupt(Corrupt):
    """A part of '{name}' from {host} is not what its digest says: {why}. Only this part is fetched again."""


class RangeBeyond(Corrupt):
    """{host} has no byte at offset {start} of '{name}': it ends at {size}."""

    def __init__(self, *, size: int | None, **facts: Any) -> None:
        """`size`: bytes of the whole object, None when the origin did not say."""
        super().__init__(size="an unknown length" if size is None else size, **facts)
        self.size = size


class Broken(ModelManagerError):
    """{what} This is a fault of model_manager: please report it with the log."""

    exit_code = 70


class IndexDamaged(Broken):
    """The index {path} is damaged: {why}. It is made anew from the disk, nothing is fetched again: an agent does so when it starts; without one, 'model-manager model index sync' does."""

    exit_code = 75


class BadSettings(Refused):
    """{count} settings cannot be used:"""

    exit_code = 78

    def __init__(self, problems: tuple[BadSetting, ...]) -> None:
        """All problems at once, so that one look mends them all."""
        super().__init__(count=len(problems))
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {problem}" for problem in self.problems)])
