from __future__ import annotations

from dataclasses import replace

from model_manager.cli.model.comparing import Before, compared, remembered
from model_manager.facts.disk import Fingerprint
from model_manager.index.reading import Shop
from tests.cli.model.conftest import Library

OLD = Fingerprint(device=1, inode=2, size=3, mtime_ns=4)
NEW = replace(OLD, mtime_ns=5)


def test_the_difference_is_told_in_stablequeues_figures() -> None:
    before: Before = {
        "gone": (OLD, True),
        "mounted again": (OLD, True),
        "same": (OLD, True),
        "read": (OLD, False),
        "changed": (OLD, True),
    }
    now: Before = {
        "mounted again": (replace(OLD, device=9), True),
        "same": (OLD, True),
        "read": (OLD, True),
        "changed": (NEW, True),
        "new": (NEW, True),
        "raw": (NEW, False),
    }
    found = compared(before, now, skipped=1, errors=2)
    assert (found.total, found.added, found.updated, found.removed) == (6, 2, 1, 1)
    assert (found.hashes_calculated, found.hashes_skipped, found.errors) == (3, 1, 2)


def test_the_whole_index_is_remembered_however_many_pages_it_has(library: Library, monkeypatch) -> None:
    with Shop.open(library.state / "index.sqlite") as shop:
        whole = remembered(shop)
        monkeypatch.setattr("model_manager.cli.model.comparing.PAGE", 4)
        assert remembered(shop) == whole
    assert len(whole) == 17
