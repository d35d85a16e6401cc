from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_manager.facts.identity import Pin
from model_manager.facts.transfer import Offer
from model_manager.library.disk import Disk, opened
from model_manager.library.incoming.journal import Journal, bare, load, save
from tests.library.shelves import ETAG, URL, offer, put

PIN = Pin(algorithms=("sha256", "blake3"), hex="a" * 64)
FULL = Journal(
    slot="checkpoints/x",
    writer="w",
    url=URL,
    host="h",
    validator=ETAG,
    total=9,
    promise=PIN,
    pin=PIN,
    extents=((0, 5),),
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    with opened(str(tmp_path), os.O_RDONLY | os.O_DIRECTORY) as fd:
        yield fd


@pytest.mark.parametrize("journal", [FULL, Journal(slot="s", writer="w")], ids=["full", "bare"])
def test_a_journal_is_read_back_as_written(folder: int, journal: Journal) -> None:
    save(Disk(), folder, "j", journal)
    assert load(folder, "j") == journal


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"slot":"x"}', b"\x00" * 100, b'{"slot":1,"synced":"many"}', b"{" * 20000]
)
def test_d1_a_journal_that_cannot_be_used_is_none(tmp_path: Path, folder: int, content: bytes) -> None:
    put(tmp_path / "j", content)
    assert load(folder, "j") is None


def test_k3_a_journal_that_is_a_fifo_is_none_and_does_not_hang(tmp_path: Path, folder: int) -> None:
    os.mkfifo(tmp_path / "j")
    assert load(folder, "j") is None


def test_k12_the_journal_keeps_no_secret_of_an_address(tmp_path: Path, folder: int) -> None:
    told = Journal(slot="s", writer="w").under(
        "https://me:hf_CANARY@h.test/x?token=hf_CANARY#hf_CANARY", offer(9), None
    )
    save(Disk(), folder, "j", told)
    assert told.url == "https://h.test/x"
    assert b"CANARY" not in (tmp_path / "j").read_bytes()


@pytest.mark.parametrize(
    ("journal", "url", "pin", "proof"),
    [
        (FULL, URL, None, (True, ETAG)),
        (FULL, URL + "?signed=1", None, (True, ETAG)),
        (FULL, "https://mirror.test/x", None, (False, None)),
        (FULL, "https://mirror.test/x", PIN, (True, None)),
        (FULL, "https://mirror.test/x", Pin(algorithms=("sha256",), hex="b" * 64), (False, None)),
        (Journal(slot="s", writer="w", url=URL, extents=((0, 5),)), URL, None, (False, None)),
        (Journal(slot="s", writer="w", url=URL, extents=((0, 5),)), URL, PIN, (False, None)),
    ],
    ids=["etag", "other-query", "mirror", "mirror-same-digest", "mirror-other-digest", "b5-no-etag", "b5-pin-unknown"],
)
def test_b5_going_on_needs_a_proof(journal: Journal, url: str, pin: Pin | None, proof: tuple[bool, str | None]) -> None:
    assert journal.goes_on_with(url, pin) == proof


def test_an_md5_or_short_hash_is_no_proof() -> None:
    weak = Pin(algorithms=("md5",), hex="a" * 32)
    journal = Journal(slot="s", writer="w", url=URL, pin=weak, extents=((0, 5),))
    assert journal.goes_on_with("https://mirror.test/x", weak) == (False, None)


def test_b4_an_offer_from_the_first_byte_forgets_the_older_object() -> None:
    new = Offer(size=None, validator=None, promise=None, start=0, host="h")
    assert FULL.under(URL, new, None) == Journal(slot=FULL.slot, writer="w", url=URL, host="h")


def test_an_offer_in_the_middle_keeps_what_it_does_not_say() -> None:
    more = Offer(size=None, validator=None, promise=None, start=5, host="h")
    told = FULL.under(URL, more, PIN)
    assert (told.total, told.validator, told.promise, told.extents) == (9, ETAG, PIN, ((0, 5),))
    assert FULL.under("https://mirror.test/x", more, PIN).validator is None


def test_addresses_are_written_down_bare() -> None:
    assert bare("https://u:p@h.test:8443/a/b?q#f") == "https://h.test:8443/a/b"
