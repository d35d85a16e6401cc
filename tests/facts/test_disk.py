from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.facts.disk import Diff, InventoryDigest
from model_manager.facts.identity import Digests
from tests.decisions.making import digests, held

ITEM = held("vae/a.safetensors")


def test_empty_is_zero_and_text_comes_back():
    assert str(InventoryDigest()) == "0" * 32
    digest = InventoryDigest().adding([ITEM])
    assert InventoryDigest.parse(str(digest)) == digest


@given(
    st.lists(st.sampled_from([held(f"vae/{n}.safetensors", size=n + 1) for n in range(8)]), unique=True), st.randoms()
)
def test_the_order_does_not_matter_and_what_was_added_can_be_removed(items, random):
    shuffled = list(items)
    random.shuffle(shuffled)
    whole = InventoryDigest().adding(items)
    assert InventoryDigest().adding(shuffled) == whole
    assert whole.removing(shuffled) == InventoryDigest()


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (replace(ITEM, file="/m/vae/b.safetensors"), False),
        (replace(ITEM, fingerprint=replace(ITEM.fingerprint, size=1)), False),
        (replace(ITEM, digests=digests("d" * 64)), False),
        (replace(ITEM, digests=None), False),
        (replace(ITEM, evidence=None), False),
        (replace(ITEM, verified_at="later"), True),
        (replace(ITEM, fingerprint=replace(ITEM.fingerprint, mtime_ns=9)), True),
    ],
)
def test_what_a_reader_must_agree_on_is_in_it(other, same):
    assert (InventoryDigest().adding([ITEM]) == InventoryDigest().adding([other])) is same


def test_a_name_that_is_no_utf8_has_a_term():
    assert InventoryDigest().adding([replace(ITEM, file="/m/\udcff")]) != InventoryDigest()


def test_the_term_is_the_documented_one():
    """SHA-256 of `/m/vae/a.safetensors NUL 100 NUL aa… NUL 1`: readers in other languages compute the same."""
    import hashlib

    line = b"/m/vae/a.safetensors\x00100\x00" + b"a" * 64 + b"\x001"
    assert str(InventoryDigest().adding([ITEM])) == hashlib.sha256(line).hexdigest()[:32]


def test_a_diff_is_empty_without_any_change():
    assert Diff().empty
    assert not Diff(vanished=(ITEM,)).empty


def test_what_the_fleet_knows_a_file_by_is_in_it_and_nothing_else():
    """Readers have no other hash than the SHA-256."""
    unknown = replace(ITEM, digests=Digests(blake3="c" * 64))
    assert InventoryDigest().adding([unknown]) == InventoryDigest().adding([replace(ITEM, digests=None)])
    assert InventoryDigest().adding([unknown]) != InventoryDigest().adding([ITEM])


def test_a_file_with_other_bytes_than_before_is_vouched_for_by_nobody():
    rotten = replace(ITEM, against="sha256:x").unjudged(digests("d" * 64))
    assert (rotten.verified, rotten.against, rotten.verified_at) == (False, "", "")
    assert rotten.digests == digests("d" * 64)
    assert rotten.fingerprint == ITEM.fingerprint


def test_verified_means_that_somebody_judged_it():
    assert ITEM.verified
    assert not replace(ITEM, evidence=None).verified


def test_a_volume_that_was_mounted_again_changed_no_file():
    was = ITEM.fingerprint
    assert not replace(was, device=was.device + 1).is_other_than(was)
    for name in ("inode", "size", "mtime_ns"):
        assert replace(was, **{name: getattr(was, name) + 1}).is_other_than(was)
