from __future__ import annotations

from dataclasses import replace

from model_manager.facts.identity import Digests
from model_manager.index.filing import Filing

from .making import digests, held

NOTHING = (None,) * 5


def _of(content: str) -> tuple[str | None, ...]:
    one = digests(content)
    return one.sha256, one.blake3, one.md5, one.crc32, one.tensor


def test_a_file_that_nobody_has_read_is_a_content_of_its_own() -> None:
    filing = Filing({}, {}, 7)
    assert [filing.put(held(inode=n), None) for n in (1, 2)] == [7, 8]
    assert filing.fresh == {7: 1000, 8: 1000}
    assert not filing.learnt


def test_files_of_one_fingerprint_are_one_content() -> None:
    filing = Filing({3: NOTHING}, {held(inode=9).fingerprint: 3}, 4)
    assert filing.put(held("link.gguf", inode=9), None) == 3
    assert filing.put(held("a.gguf", inode=1), None) == filing.put(held("b.gguf", inode=1), None) == 4


def test_reading_a_file_names_its_content() -> None:
    filing = Filing({3: NOTHING}, {}, 4)
    assert filing.put(held(content="x"), 3) == 3
    assert filing.contents[3] == _of("x")
    assert filing.learnt == {3}


def test_a_file_that_was_read_as_bytes_that_are_known_becomes_them() -> None:
    filing = Filing({3: NOTHING, 5: _of("x")}, {}, 6)
    assert filing.put(held(content="x"), 3) == 5
    assert filing.merged == {3: 5}
    assert filing.now(3) == 5


def test_two_contents_that_were_known_by_one_digest_each_are_found_to_be_one() -> None:
    one = digests("x")
    filing = Filing({3: (one.sha256, *NOTHING[1:]), 5: (None, one.blake3, *NOTHING[2:])}, {}, 6)
    assert filing.put(held(content="x"), None) == 3
    assert filing.merged == {5: 3}
    assert filing.contents[3] == _of("x")


def test_a_file_with_other_bytes_than_its_links_is_none_of_them() -> None:
    filing = Filing({3: _of("x")}, {}, 4)
    assert filing.put(held(content="rotten"), 3) == 4
    assert filing.contents[3] == _of("x")
    assert not filing.merged


def test_new_files_with_one_digest_are_one_content_from_the_start() -> None:
    filing = Filing({}, {}, 1)
    assert {filing.put(held(inode=n, content="x"), None) for n in (1, 2, 3)} == {1}


def test_a_digest_that_another_content_has_is_not_taken_from_it() -> None:
    x, y = digests("x"), digests("y")
    filing = Filing({3: _of("x")}, {}, 4)
    liar = replace(held(), digests=Digests(sha256=y.sha256, blake3=x.blake3))
    assert filing.put(liar, None) == 4
    assert filing.contents[4][:2] == (y.sha256, None)
    assert filing.contents[3] == _of("x")


def test_a_merge_of_merges_ends_at_one() -> None:
    x = digests("x")
    filing = Filing({1: NOTHING, 2: (None, x.blake3, *NOTHING[2:]), 3: (x.sha256, *NOTHING[1:])}, {}, 4)
    fast = replace(held(inode=1), digests=Digests(blake3=x.blake3))
    assert filing.put(fast, 1) == 2
    assert filing.put(held(inode=1, content="x"), 2) == 3
    assert filing.now(1) == filing.now(2) == 3


def test_forgotten_digests_of_a_file_leave_its_content_as_it_is() -> None:
    filing = Filing({3: _of("x")}, {}, 4)
    assert filing.put(held(), 3) == 3
    assert not filing.learnt
