"""Lines of an import, here and in processes beside this one: the same records in the same order."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from model_manager.catalog.incoming import lines
from model_manager.catalog.incoming.lines import read
from model_manager.errors import Broken
from tests.catalog.conftest import model

STRANGE = [
    b"", b"{", b"[]", b'{"kind":"nothing"}', b'{"kind":[]}', b'{"name":"a","name":"b"}', b"\xff\xfe", b'"\xed\xa0\x80"',
    orjson.dumps({"kind": "workflow", "name": "w", "models": ["m0.pt", {"model": "m1.pt", "is_required": False}],
                  "custom_nodes": ["node"], "minVramGb": 8}),
    orjson.dumps({"kind": "collection", "id": "c", "name": "c", "workflows": ["w"]}),
    orjson.dumps(model("v.pt", version="2", current=False, hashes={"sha256": "ab" * 32}, vramGb=1.5, strange=1)),
]  # fmt: skip


def numbered(count: int) -> Iterator[tuple[int, bytes]]:
    good = (orjson.dumps(model(f"m{n}.pt", saveTo=f"vae/m{n}.pt")) for n in range(count))
    return enumerate([*good, *STRANGE], 1)


def test_f5_what_processes_beside_this_one_read_is_what_this_one_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    here = list(read(numbered(300)))
    monkeypatch.setattr(lines, "FEW", 10)
    monkeypatch.setattr(lines, "TOGETHER", 40)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert list(read(numbered(300))) == here
    assert len(here) == 300 + len(STRANGE) - 1


def test_on_one_processor_everything_is_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "FEW", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(lines, "_Aside", None)
    assert len(list(read(numbered(20)))) == 20 + len(STRANGE) - 1


def test_whoever_stops_in_the_middle_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    monkeypatch.setattr(lines, "FEW", 1)
    monkeypatch.setattr(lines, "TOGETHER", 5)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    enter = lines._Aside.__enter__
    monkeypatch.setattr(lines._Aside, "__enter__", lambda self: begun.append(self) or enter(self))  # type: ignore[func-returns-value]
    records = read(numbered(50))
    assert [next(records) for _ in range(3)]
    records.close()  # type: ignore[attr-defined]
    (aside,) = begun
    assert aside._process.poll() is not None


def test_d_a_process_that_dies_is_a_fault_and_no_end_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with lines._Aside() as aside:
        aside.give([(1, b"{}")])
        aside.take()
        aside._process.kill()
        aside._process.wait()
        with pytest.raises(Broken, match="ended with -9"):
            aside.take()
