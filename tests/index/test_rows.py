from __future__ import annotations

from dataclasses import replace

import pytest

from model_manager.errors import BadPath
from model_manager.facts.disk import Fingerprint, Held
from model_manager.facts.identity import Digests
from model_manager.index.rows import DIGESTS, digests_of, fingerprint_of, held_of, knows, mark_of, row_of
from model_manager.index.store import Store

from .making import AT, digests, held


def _there_and_back(file: Held) -> Held:
    row = row_of(file, 1, 1, AT)
    known = [getattr(file.digests, name) if file.digests else None for name in DIGESTS]
    path, _, _, folder, name, _, _, _, *mark, _, evidence, against, at, _ = row
    return held_of((path, file.root, folder, name, *mark, *known, evidence, against, at))


@pytest.mark.parametrize("file", [held(), held(content="x"), held("deep/er/é.gguf", content="x", evidence="origin")])
def test_a_file_comes_back_from_its_row_as_it_was(file: Held) -> None:
    assert _there_and_back(file) == file


@pytest.mark.parametrize(
    ("only", "bits"),
    [
        (None, 0),
        (Digests(sha256="a" * 64), 1),
        (Digests(blake3="b" * 64), 2),
        (Digests(blake3="b" * 64, md5="c" * 32, crc32="d" * 8), 14),
        (digests("x"), 31),
    ],
)
def test_a_row_says_which_digests_the_file_itself_was_found_to_have(only: Digests | None, bits: int) -> None:
    assert knows(only) == bits
    assert _there_and_back(replace(held(), digests=only)).digests == only


def test_short_digests_alone_identify_nothing() -> None:
    assert digests_of(None, None, "c" * 32, "d" * 8, "e" * 64) is None


def test_a_row_carries_the_slot_that_collides_and_the_name_that_is_looked_for() -> None:
    row = row_of(held("Deep/É.gguf", folder="unet"), 1, 1, AT)
    assert row[5:8] == ("diffusion_models", "deep/é.gguf", "é.gguf")


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_device_and_inode_numbers_fit_into_signed_ones(number: int) -> None:
    mark = Fingerprint(device=number, inode=number, size=1, mtime_ns=-5)
    assert all(abs(part) < 2**63 + 1 and part < 2**63 for part in mark_of(mark))
    assert fingerprint_of(*mark_of(mark)) == mark


def test_a_lone_surrogate_has_no_row() -> None:
    with pytest.raises(BadPath):
        row_of(held("\udc80.gguf"), 1, 1, AT)


def test_every_digest_comes_back_from_the_database(tmp_path) -> None:
    store = Store(str(tmp_path / "index.db"))
    store.open()
    assert [row[1] for row in store._db.execute("PRAGMA table_info(content)")][2:7] == list(DIGESTS)
