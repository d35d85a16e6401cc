from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.decisions.comparing import compare, kindred, learnt
from model_manager.facts.disk import Diff
from tests.decisions.making import digests, held


def found(path, **more):
    return held(path, sha256=None, evidence=None, **more)


def index(*items):
    return {item.file: item for item in items}


KNOWN = held("vae/a.safetensors")


@pytest.mark.parametrize(
    ("now", "known", "diff"),
    [
        ([], [], Diff()),
        ([found("vae/a.safetensors")], [KNOWN], Diff()),
        ([found("vae/a.safetensors")], [], Diff(appeared=(found("vae/a.safetensors"),))),
        ([], [KNOWN], Diff(vanished=(KNOWN,))),
        ([found("vae/a.safetensors", mtime=2)], [KNOWN], Diff(changed=(found("vae/a.safetensors", mtime=2),))),
        ([found("vae/a.safetensors", size=101)], [KNOWN], Diff(changed=(found("vae/a.safetensors", size=101),))),
    ],
)
def test_the_change_that_brings_the_index_to_the_disk(now, known, diff):
    assert compare(now, index(*known)) == diff


def test_what_could_not_be_looked_at_has_not_vanished():
    inside, beside = held("vae/deep/a.safetensors"), held("vae/deeper/b.safetensors")
    assert compare([], index(inside, beside), ["/m/vae/deep"]).vanished == (beside,)
    assert compare([], index(inside, beside), ["/m/vae/deep/"]).vanished == (beside,)


def test_a_file_that_could_not_be_looked_at_has_not_vanished():
    """A scan names single files too, where the link they are cannot be followed."""
    assert compare([], index(KNOWN), [KNOWN.file]).vanished == ()


def test_an_unchanged_file_keeps_what_is_known_of_it():
    assert compare([found("vae/a.safetensors")], index(KNOWN)).empty


def test_news_of_a_file_are_learnt_only_if_it_is_still_that_file():
    read = replace(KNOWN, digests=digests("d" * 64), evidence="content")
    assert learnt(KNOWN, read) == read
    assert learnt(KNOWN, replace(read, fingerprint=replace(read.fingerprint, mtime_ns=9))) == KNOWN


items = st.dictionaries(st.sampled_from([f"vae/{n}.safetensors" for n in range(6)]), st.integers(1, 3))


@given(items, items)
def test_applying_the_difference_gives_the_disk_and_then_there_is_none(on_disk, in_index):
    disk = [found(path, mtime=mtime) for path, mtime in on_disk.items()]
    known = index(*(held(path, mtime=mtime) for path, mtime in in_index.items()))
    diff = compare(disk, known)
    for item in diff.vanished:
        del known[item.file]
    known |= index(*diff.appeared, *diff.changed)
    assert {file: item.fingerprint for file, item in known.items()} == {item.file: item.fingerprint for item in disk}
    assert compare(disk, known).empty


NS = 1_700_000_000_123_456_789
"""A time as a file gets it that was written here."""


def named(path, of, **more):
    """The same file as another one, under this path."""
    return replace(held(path, **more), fingerprint=of.fingerprint)


OLD = replace(held("loras/old.safetensors", mtime=NS), against="sha256:aa", evidence="pin")


def test_h4_a_file_that_was_moved_keeps_its_digests_and_loses_the_verdict_on_its_place():
    new = named("loras/new.safetensors", OLD, sha256=None, evidence=None)
    diff = compare([new], index(OLD))
    assert diff.vanished == (OLD,)
    assert diff.appeared == (replace(new, digests=OLD.digests, evidence="content", verified_at=OLD.verified_at),)
    assert compare([new], {}, departed=[OLD]).appeared == diff.appeared
    assert compare([new], {}, linked=[OLD]).appeared == diff.appeared


def test_a_file_on_the_same_shelf_of_another_root_keeps_its_verdict():
    new = named("loras/old.safetensors", OLD, sha256=None, evidence=None, root="/other")
    assert compare([new], {}, departed=[OLD]).appeared == (replace(OLD, file=new.file, root="/other"),)
    moved = replace(OLD, root="/m/loras", shelf=held("embeddings/old.safetensors").shelf, digests=None, evidence=None)
    (changed,) = compare([moved], index(OLD)).changed
    assert (changed.digests, changed.root, changed.evidence) == (OLD.digests, "/m/loras", "content")


def test_what_nobody_vouched_for_is_not_verified_by_a_move():
    unjudged = OLD.unjudged(OLD.digests)
    new = named("loras/new.safetensors", OLD, sha256=None, evidence=None)
    (appeared,) = compare([new], index(unjudged)).appeared
    assert (appeared.digests, appeared.verified, appeared.verified_at) == (OLD.digests, False, "")


@pytest.mark.parametrize("part", ["device", "inode", "size", "mtime_ns"])
def test_another_file_inherits_nothing(part):
    new = named("loras/new.safetensors", OLD, sha256=None, evidence=None)
    new = replace(new, fingerprint=replace(new.fingerprint, **{part: 7}))
    assert compare([new], index(OLD), linked=[OLD], departed=[OLD]).appeared == (new,)


def test_k6_an_inode_that_was_given_out_again_with_a_time_of_an_archive_proves_nothing():
    unpacked = replace(OLD, fingerprint=replace(OLD.fingerprint, mtime_ns=1_700_000_000 * 10**9))
    new = named("loras/new.safetensors", unpacked, sha256=None, evidence=None)
    assert compare([new], index(unpacked)).appeared == (new,)
    assert compare([new], {}, departed=[unpacked]).appeared == (new,)
    (link,) = compare([new], {}, linked=[unpacked]).appeared
    assert link.digests == unpacked.digests


def test_a_file_that_took_the_place_of_another_inherits_from_where_it_was():
    there = held("loras/new.safetensors", sha256="e" * 64, mtime=NS + 1)
    new = named("loras/new.safetensors", OLD, sha256=None, evidence=None)
    diff = compare([new], index(OLD, there))
    assert diff.vanished == (OLD,)
    assert [item.digests for item in diff.changed] == [OLD.digests]


def test_two_files_that_changed_places_keep_what_is_known_of_them():
    one, other = held("loras/1.pt", mtime=NS), held("loras/2.pt", sha256="e" * 64, mtime=NS + 1)
    now = [named("loras/1.pt", other, sha256=None, evidence=None), named("loras/2.pt", one, sha256=None, evidence=None)]
    assert [item.digests for item in compare(now, index(one, other)).changed] == [other.digests, one.digests]


def test_of_two_names_the_verified_one_is_kin_and_one_that_nobody_read_is_none():
    unjudged, unread = OLD.unjudged(OLD.digests), replace(OLD, digests=None, evidence=None)
    assert kindred([OLD, unjudged], []) == {OLD.fingerprint: OLD}
    assert kindred([unjudged, OLD], []) == {OLD.fingerprint: OLD}
    assert kindred([unread], [unread]) == {}
