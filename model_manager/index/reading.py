"""The index for those who only read: it takes no lock, and works while the agent writes and while there is none."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from model_manager.errors import IndexTooNew, NoIndex, NotFound
from model_manager.facts import wire
from model_manager.facts.directory import Directory
from model_manager.facts.known import Detail, Group, Known, Missing, Order, Summary
from model_manager.index import directories, gathering, naming, paths
from model_manager.index.database import Database, Row
from model_manager.index.finding import PART_OF_NAME, PART_OF_PATH, Lookup, lookups, within
from model_manager.index.opening import APPLICATION
from model_manager.index.patience import SLICE, damaged, patient, translated
from model_manager.index.statements import migrations, schema

FEW: Final = 2000
"""Files that are sorted for a page of them; more are taken in the order of an index."""

CACHE: Final = 16_384
"""KiB of the database that stay in memory: the names of a hundred thousand files, with what is read of them."""

NAMES: Final = 200_000
"""Names that are looked through for one that a person may have meant."""


class Shop:
    """What is on the shelves, to look at. For one thread at a time; every answer is as of one instant.

    Raises IndexUnavailable when somebody locked the index for longer than `patience` seconds, IndexDamaged when it is.
    """

    def __init__(self, database: Database, path: str, patience: float) -> None:
        self.path = path
        self.patience = patience
        self.hurried = threading.Event()
        self._db = database

    @classmethod
    def open(cls, path: str | Path, *, patience: float = 5.0) -> Self:
        """Raises NoIndex when there is none that this version can read, IndexTooNew when a newer one wrote it."""
        shop = cls(Database(_connection(str(path))), str(path), patience)
        try:
            shop._insist_that_it_is_ours()
        except BaseException:
            shop.close()
            raise
        return shop

    @classmethod
    def empty(cls) -> Self:
        """That of a machine where nothing is indexed yet: it answers everything, with nothing."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.executescript(schema())
        return cls(Database(connection), "", 0.0)

    def close(self) -> None:
        self._db.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @patient
    def find(self, text: str, *, folder: str | None = None, limit: int = 50) -> tuple[Known, ...]:
        """Files that a name or a part of it, a path, an address or the beginning of a hash (6 digits or more, of any kind)
        may mean: those that it means exactly first, then those that begin so. Case does not matter."""
        with self._db.looking():
            found: dict[int, None] = {}
            for lookup in lookups(text, folder, limit):
                found |= dict.fromkeys(self._looked_up(lookup))
                if len(found) >= limit or (found and lookup.enough):
                    break
            return gathering.known(self._db, tuple(islice(found, limit)))

    def _looked_up(self, lookup: Lookup) -> Iterable[int]:
        values = lookup.values
        if lookup.query == PART_OF_NAME:
            return naming.containing(self._db, values["text"], values["category"], values["above"], values["limit"])
        if lookup.query == PART_OF_PATH:
            return paths.containing(self._db, values["text"], values["category"], values["above"], values["limit"])
        return (row[0] for row in self._db.rows(lookup.query, values))

    @patient
    def candidates(self, bases: Sequence[str], hexes: Sequence[str], directories: Sequence[str]) -> tuple[Known, ...]:
        """Files that references of workflows may mean: of these names (as slots are spelt), with one of these hashes of
        whatever kind, or below one of these directories of a folder. A name or hash of its own is never part of a longer one."""
        values = {"bases": bases, "hexes": hexes, "directories": directories}
        with self._db.looking():
            found = self._db.all(
                "find_candidates", {name: wire.dumps(list(each)).decode() for name, each in values.items()}
            )
            return gathering.known(self._db, [row[0] for row in found])

    @patient
    def of_size(self, sizes: Sequence[int], *, limit: int = 1000) -> tuple[Known, ...]:
        """Files of exactly one of these sizes, in bytes: those of which a hash over samples is worth taking."""
        with self._db.looking():
            found = self._db.all("find_of_size", {"sizes": wire.dumps(list(sizes)).decode(), "limit": limit})
            return gathering.known(self._db, [row[0] for row in found])

    @patient
    def listing(
        self,
        *,
        folder: str | None = None,
        directory: str | None = None,
        unverified: bool = False,
        order: Order = "name",
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[Known, ...]:
        """A page of the files: of one folder (`loras`, `loras/style`), of one tracked directory (its path), or of all."""
        values = within(folder) | {"root": directory, "unverified": unverified, "limit": limit, "offset": offset}
        with self._db.looking():
            query = self._listed(folder, directory, order)
            found = self._db.all(query, values | {"order": order})
            return gathering.known(self._db, [row[0] for row in found])

    def _listed(self, folder: str | None, directory: str | None, order: Order) -> str:
        """The query of a listing. Few files are quicker sorted than picked out of all files in that order."""
        if directory:
            (files,) = self._first("count_few_of_directory", {"root": directory, "most": FEW})
            if files < FEW:
                return "list_few_of_directory"
        if not folder:
            return f"list_by_{order}"
        (files,) = self._first("count_few", within(folder) | {"most": FEW})
        return "list_few" if order != "name" and files < FEW else f"list_folder_by_{order}"

    @patient
    def count(self, *, folder: str | None = None, directory: str | None = None, unverified: bool = False) -> int:
        """How many files a listing has."""
        query = "count_some" if directory or unverified else "count_folder" if folder else "count_all"
        (number,) = self._first(query, within(folder) | {"root": directory, "unverified": unverified})
        return int(number)

    @patient
    def show(self, content_id: int) -> Detail:
        """Everything that is known of one content. Raises NotFound."""
        with self._db.looking():
            row = self._db.first("content", {"id": content_id})
            if row is None:
                raise NotFound(where="The index", name=f"content {content_id}")
            return gathering.detail(self._db, content_id, row)

    @patient
    def duplicates(self) -> tuple[Group, ...]:
        """Contents that lie on the disk more than once, by a full digest; those that take most beyond the first come first.
        Links to one file are no duplicates."""
        with self._db.looking():
            return tuple(gathering.groups(self._db))

    @patient
    def missing(self) -> tuple[Missing, ...]:
        """Contents whose digest is known and that lie nowhere any more, by where they lay last."""
        with self._db.looking():
            return tuple(gathering.missing(self._db))

    @patient
    def directories(self) -> tuple[Directory, ...]:
        """All that are tracked, by path."""
        return directories.tracked(self._db)

    @patient
    def summary(self) -> Summary:
        files, size, contents, verified, read, unread, troubled, pickles, missing = self._first("summary", {})
        return Summary(
            files=files,
            bytes=size,
            contents=contents,
            verified=verified,
            read=read,
            unread_bytes=unread,
            troubled=troubled,
            pickles=pickles,
            missing=missing,
        )

    @patient
    def names(self) -> tuple[str, ...]:
        """Names of files without their folders, lower-case, each once, in order: what a mistyped one may have meant."""
        return tuple(name for (name,) in self._db.rows("names", {"limit": NAMES}))

    @patient
    def _insist_that_it_is_ours(self) -> None:
        try:
            application, found = self._first("format", {})
            known = migrations()[-1].number
        except sqlite3.Error as error:
            if damaged(error):
                raise NoIndex(path=self.path, why=f"it is damaged ({error})") from error
            raise
        if application != APPLICATION:
            raise NoIndex(path=self.path, why="the database there is none of ours")
        if found > known:
            raise IndexTooNew(path=self.path, found=found, known=known)
        if found < known:
            raise NoIndex(path=self.path, why=f"it has the older schema {found}, and this version reads {known}")
        self._db.connection.execute(f"PRAGMA cache_size = -{CACHE}")

    def _first(self, query: str, values: dict[str, Any]) -> Row:
        return self._db.first(query, values) or ()


def _connection(path: str) -> sqlite3.Connection:
    """To read only. Where the directory cannot be written and no log is there, nobody else writes either: the file is then
    taken as it is, for SQLite would have to make its log's index beside it."""
    if not Path(path).is_file():
        raise NoIndex(path=path, why="there is none yet")
    place = f"file:{quote(str(Path(path).absolute()))}"
    settled = not os.access(Path(path).parent, os.W_OK) and not Path(f"{path}-wal").exists()
    address = f"{place}?immutable=1" if settled else f"{place}?mode=ro"
    try:
        return sqlite3.connect(address, uri=True, timeout=SLICE, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise translated(error, path) from error
