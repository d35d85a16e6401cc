from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.decisions.comparing import compare, learnt
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
