from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_manager.facts.description import Address, Lore, Told
from model_manager.facts.disk import Diff, Held
from model_manager.facts.identity import Digests
from model_manager.index.store import Store

from .making import AT, begun, digests, held, insist_that_contents_are_whole, insist_that_it_is_whole


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return begun(tmp_path / "index.db")


def _contents(store: Store) -> dict[str, int]:
    return dict(store._db.execute("SELECT name, content_id FROM location"))


def _lore(name: str, url: str = "https://example.org/a") -> Lore:
    told = Told(field="name", value=name, teller="civitai", at=AT)
    return Lore(file="", told=(told,), addresses=(Address(kind="url", url=url),))


def _told(store: Store) -> list[tuple[int, str]]:
    return store._db.execute("SELECT content_id, value FROM told ORDER BY content_id").fetchall()


def test_one_content_has_many_locations_and_a_hard_link_from_the_start(store: Store) -> None:
    a, copy = held("a.gguf", content="x", inode=1), held("b.gguf", content="x", inode=2)
    link = held("link.gguf", inode=1)
    store.apply(Diff(appeared=(a, copy)), at=AT)
    store.apply(Diff(appeared=(link,)), at=AT)
    assert len(set(_contents(store).values())) == 1
    assert store.held() == (a, copy, link)


def test_what_others_know_follows_a_file_that_turns_out_to_be_known_bytes(store: Store) -> None:
    known, unread = held("a.gguf", content="x", inode=1), held("b.gguf", inode=2)
    link = held("c.gguf", inode=2)
    store.apply(Diff(appeared=(known, unread, link)), at=AT)
    store.learn([(known.file, _lore("first")), (unread.file, _lore("second", "https://example.org/b"))], at=AT)

    store.apply(Diff(changed=(held("b.gguf", content="x", inode=2),)), at=AT)

    contents = _contents(store)
    assert contents["a.gguf"] == contents["b.gguf"] == contents["c.gguf"]
    assert _told(store) == [(contents["a.gguf"], "first")]
    urls = store._db.execute("SELECT url FROM address ORDER BY url").fetchall()
    assert urls == [("https://example.org/a",), ("https://example.org/b",)]
    assert store.held()[2] == link
    insist_that_contents_are_whole(store)


def test_of_two_words_of_one_teller_the_later_survives_a_merge(store: Store) -> None:
    known, unread = held("a.gguf", content="x", inode=1), held("b.gguf", inode=2)
    store.apply(Diff(appeared=(known, unread)), at=AT)
    later = Told(field="name", value="later", teller="civitai", at="2027-01-01T00:00:00Z")
    store.learn([(known.file, _lore("first")), (unread.file, replace(_lore(""), told=(later,)))], at=AT)
    store.apply(Diff(changed=(held("b.gguf", content="x", inode=2),)), at=AT)
    assert [value for _, value in _told(store)] == ["later"]


def test_a_file_that_is_overwritten_in_place_is_another_content(store: Store) -> None:
    store.apply(Diff(appeared=(held(content="x"),)), at=AT)
    store.learn([(held().file, _lore("old"))], at=AT)
    old = _contents(store)

    store.apply(Diff(changed=(held(mtime_ns=5),)), at=AT)

    assert _contents(store) != old
    assert [content for content, _ in _told(store)] == list(old.values())
    assert store._db.execute("SELECT last_file FROM content WHERE id = ?", tuple(old.values())).fetchone() == (
        held().file,
    )
    insist_that_contents_are_whole(store)


def test_what_nobody_read_goes_with_its_last_file_and_what_is_told_of_it(store: Store) -> None:
    store.apply(Diff(appeared=(held(),)), at=AT)
    store.learn([(held().file, _lore("nothing"))], at=AT)
    store.apply(Diff(vanished=(held(),)), at=AT)
    for table in ("content", "told", "address", "location"):
        assert store._db.execute(f"SELECT * FROM {table}").fetchall() == []


def test_a_file_that_is_renamed_in_one_change_keeps_what_is_told_of_it(store: Store) -> None:
    store.apply(Diff(appeared=(held("a.gguf"),)), at=AT)
    store.learn([(held("a.gguf").file, _lore("mine"))], at=AT)
    before = _contents(store)["a.gguf"]
    store.apply(Diff(vanished=(held("a.gguf"),), appeared=(held("b.gguf"),)), at=AT)
    assert _told(store) == [(before, "mine")]
    assert _contents(store) == {"b.gguf": before}


def test_a_content_that_went_is_the_same_when_it_comes_back_and_no_id_is_given_twice(store: Store) -> None:
    store.apply(Diff(appeared=(held(content="x"),)), at=AT)
    first = _contents(store)["a.safetensors"]
    store.apply(Diff(vanished=(held(),)), at=AT)
    store.apply(Diff(appeared=(held("new.gguf", inode=3),)), at=AT)
    store.apply(Diff(vanished=(held("new.gguf"),)), at=AT)
    store.apply(Diff(appeared=(held("other.gguf", inode=4), held("back.gguf", inode=5, content="x"))), at=AT)
    assert _contents(store) == {"other.gguf": first + 2, "back.gguf": first}


def test_a_file_that_rotted_is_no_longer_the_content_that_it_was(store: Store) -> None:
    good = held(content="x", evidence="pin")
    store.apply(Diff(appeared=(good,)), at=AT)
    store.apply(Diff(changed=(good.unjudged(digests("rotten")),)), at=AT)
    assert store.held() == (good.unjudged(digests("rotten")),)
    assert store._db.execute("SELECT count(*) FROM content").fetchone() == (2,)
    insist_that_it_is_whole(store)


def test_digests_that_contradict_a_known_content_break_nothing(store: Store) -> None:
    x, y = digests("x"), digests("y")
    liar = replace(held("liar.gguf", inode=2), digests=Digests(sha256=y.sha256, blake3=x.blake3))
    store.apply(Diff(appeared=(held(content="x", inode=1),)), at=AT)
    store.apply(Diff(appeared=(liar,)), at=AT)
    assert [row.digests.sha256 for row in store.held()] == [x.sha256, y.sha256]
    assert store.apply(Diff(vanished=(liar,)), at=AT)


def test_twins_are_told_with_everything_that_their_content_knows(store: Store) -> None:
    x = digests("x")
    fast = replace(held("fast.gguf", inode=1, evidence="pin"), digests=Digests(blake3=x.blake3))
    link, stranger = held("link.gguf", inode=2), held("stranger.gguf", inode=3)
    whole = held("whole.gguf", inode=2, content="x")
    store.apply(Diff(appeared=(fast, link, stranger, whole)), at=AT)

    twins = store.twins([whole.file])

    assert twins == (replace(fast, digests=x), replace(link, digests=x))
    store.apply(Diff(changed=twins), at=AT)
    assert store.twins([whole.file]) == ()
    insist_that_it_is_whole(store)


def test_a_directory_that_nobody_named_is_one_of_the_settings(store: Store) -> None:
    store.apply(Diff(appeared=(held(), held(root="/mnt/nas"))), at=AT)
    assert [(one.path, one.tracked_by, one.added_at) for one in store.directories()] == [
        ("/mnt/nas", "settings", AT),
        ("/srv/models", "settings", AT),
    ]


_CONTENTS = {
    None: None,
    "x": digests("x"),
    "x by blake3": Digests(blake3=digests("x").blake3),
    "x by sha256": Digests(sha256=digests("x").sha256),
    "y": digests("y"),
    "y by blake3": Digests(blake3=digests("y").blake3),
}
_files = st.builds(
    lambda name, inode, mtime, content: replace(held(name, inode=inode, mtime_ns=mtime), digests=_CONTENTS[content]),
    st.sampled_from(["a.gguf", "b.gguf", "c.gguf", "sub/d.gguf"]),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from(sorted(_CONTENTS, key=str)),
)
_some = st.lists(_files, max_size=4).map(tuple)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(diffs=st.lists(st.builds(Diff, appeared=_some, changed=_some, vanished=_some), max_size=8))
def test_after_any_history_the_rows_are_as_they_were_given_and_the_contents_whole(
    tmp_path_factory: pytest.TempPathFactory, diffs: list[Diff]
) -> None:
    store = begun(tmp_path_factory.mktemp("history") / "index.db")
    expected: dict[str, Held] = {}
    for diff in diffs:
        store.apply(diff, at=AT)
        for gone in diff.vanished:
            expected.pop(gone.file, None)
        expected |= {one.file: one for one in (*diff.changed, *diff.appeared)}
        assert {row.file: row for row in store.held()} == expected
        insist_that_it_is_whole(store)
    store.close()
