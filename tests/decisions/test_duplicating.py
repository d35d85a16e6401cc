from __future__ import annotations

from dataclasses import replace

from model_manager.decisions.duplicating import duplicates
from model_manager.facts.disk import Fingerprint
from model_manager.facts.duplicate import Copy
from model_manager.facts.shelf import ShelfPath

DIGEST = "a" * 64
GIB = 1 << 30


def copy(
    file: str,
    inode: int,
    *,
    device: int = 1,
    size: int = GIB,
    mtime: int = 100,
    own: bool = False,
    verified: bool = False,
) -> Copy:
    folder, _, name = file.lstrip("/").partition("/")
    return Copy(
        file=file,
        root="/",
        shelf=ShelfPath(folder=folder, name=name),
        fingerprint=Fingerprint(device=device, inode=inode, size=size, mtime_ns=mtime),
        own=own,
        verified=verified,
    )


def test_two_files_with_the_same_bytes_are_a_duplicate_and_the_older_one_stays():
    old, new = copy("/a/long/x", 1, mtime=1), copy("/a/y", 2, mtime=2)
    (found,) = duplicates([(DIGEST, [new, old])], {1})
    assert (found.kept, found.why, found.reclaimable) == (old, "it is the oldest", GIB)
    (redundant,) = found.redundant
    assert (redundant.copies, redundant.by, redundant.how) == ((new,), old, "reflink")


def test_a_verified_file_stays_before_an_older_one_and_ours_before_others():
    ours, theirs = copy("/a/x", 1, own=True, mtime=9), copy("/b/x", 2, mtime=1)
    assert duplicates([(DIGEST, [theirs, ours])], {1})[0].why == "it lies in our own store"
    verified = replace(theirs, verified=True)
    (found,) = duplicates([(DIGEST, [ours, verified])], {1})
    assert (found.kept, found.why) == (verified, "it is verified")


def test_of_equals_the_shorter_path_stays_and_then_the_first_in_the_alphabet():
    assert duplicates([(DIGEST, [copy("/a/xx", 1), copy("/a/x", 2)])], set())[0].why == "its path is the shortest"
    (found,) = duplicates([(DIGEST, [copy("/a/y", 1), copy("/a/x", 2)])], set())
    assert (found.kept.file, found.why) == ("/a/x", "its path comes first in the alphabet")


def test_names_of_one_file_are_no_duplicates():
    assert duplicates([(DIGEST, [copy("/a/x", 1), copy("/b/link", 1)])], {1}) == ()


def test_without_shared_blocks_every_name_of_the_copy_becomes_a_hard_link():
    kept, one, other = copy("/a/x", 1, mtime=1), copy("/b/one", 2), copy("/b/other", 2)
    (found,) = duplicates([(DIGEST, [kept, one, other])], set())
    (redundant,) = found.redundant
    assert redundant.reclaimable == GIB
    assert [(step.copy, step.by, step.how) for step in redundant.replacements] == [
        (one, kept, "hard link"),
        (other, kept, "hard link"),
    ]
    assert "a change in place then changes both" in redundant.why


def test_shared_blocks_replace_a_file_once_whatever_its_names():
    (found,) = duplicates([(DIGEST, [copy("/a/x", 1, mtime=1), copy("/b/one", 2), copy("/b/other", 2)])], {1})
    assert len(found.redundant[0].replacements) == 1


def test_nothing_stands_in_for_a_file_on_another_device_and_it_says_so():
    kept, far = copy("/a/x", 1, verified=True), copy("/b/x", 1, device=2)
    (found,) = duplicates([(DIGEST, [kept, far])], {1, 2})
    (redundant,) = found.redundant
    assert (redundant.how, redundant.reclaimable, redundant.replacements) == (None, 0, ())
    assert "another device than /a/x" in redundant.why
    assert found.reclaimable == 0


def test_of_two_on_another_device_one_stands_in_for_the_other():
    kept, far, farther = copy("/a/x", 1, verified=True), copy("/b/x", 1, device=2, mtime=1), copy("/b/y", 2, device=2)
    (found,) = duplicates([(DIGEST, [kept, far, farther])], {1})
    assert [(one.copies[0], one.by, one.how) for one in found.redundant] == [
        (far, kept, None),
        (farther, far, "hard link"),
    ]
    assert found.reclaimable == GIB


def test_files_that_share_their_blocks_already_are_no_duplicates():
    kept, shared, other = copy("/a/x", 1, mtime=1), copy("/a/y", 2), copy("/a/z", 3)
    kept, shared, other = replace(kept, blocks="b"), replace(shared, blocks="b"), replace(other, blocks="c")
    assert duplicates([(DIGEST, [kept, shared])], {1}) == ()
    (found,) = duplicates([(DIGEST, [kept, shared, other])], {1})
    assert [one.copies for one in found.redundant] == [(other,)]


def test_empty_files_and_files_of_different_sizes_are_no_duplicates():
    assert duplicates([(DIGEST, [copy("/a/x", 1, size=0), copy("/a/y", 2, size=0)])], {1}) == ()
    assert duplicates([(DIGEST, [copy("/a/x", 1), copy("/a/y", 2, size=5)])], {1}) == ()


def test_what_frees_most_comes_first():
    small = [copy("/s/x", 1, size=10), copy("/s/y", 2, size=10)]
    large = [copy("/l/x", 3), copy("/l/y", 4)]
    assert [one.size for one in duplicates([("b" * 64, small), (DIGEST, large)], {1})] == [GIB, 10]
