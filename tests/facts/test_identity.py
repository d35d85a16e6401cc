from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.errors import BadSetting, Broken
from model_manager.facts.identity import TOKEN_NAMES, Digests, MachineId, Pin

SHA, BLAKE, MD5 = "a1" * 32, "b2" * 32, "c3" * 16
ALL = Digests(sha256=SHA, blake3=BLAKE, md5=MD5, tensor="d4" * 32)
FEW = Digests(sha256=SHA, blake3=BLAKE)


@pytest.mark.parametrize(
    ("text", "algorithms"),
    [
        (SHA, ("sha256", "blake3")),
        (SHA.upper(), ("sha256", "blake3")),
        (f"  {SHA}\n", ("sha256", "blake3")),
        (f"sha256:{SHA}", ("sha256",)),
        (f"SHA-256: {SHA}", ("sha256",)),
        (f"sha256={SHA}", ("sha256",)),
        (f"blake3:{BLAKE}", ("blake3",)),
        (MD5, ("md5",)),
        (f"md5:{MD5}", ("md5",)),
        (SHA[:10], ("autov2",)),
        (f"AutoV2:{SHA[:10].upper()}", ("autov2",)),
        (SHA[:12], ("autov3",)),
    ],
)
def test_f8_a_hash_is_what_its_label_or_its_length_says(text, algorithms):
    pin = Pin.parse(text)
    assert pin is not None
    assert pin.algorithms == algorithms
    assert pin.hex == pin.hex.lower()


@pytest.mark.parametrize(
    "text",
    ["", " ", "null", "none", "0", None, 7, True, [], {}, "a" * 9, "a" * 11, "a" * 40, "a" * 63, "a" * 65, "g" * 64, "z" * 10,
     f"sha1:{'a' * 40}", f"adler32:{'a' * 8}", f"sha256:{SHA[:10]}", f"md5:{SHA}", f"nothing:{SHA}", "sha256:", ":" + SHA, "ä" * 32,
     "١" * 10],
)  # fmt: skip
def test_f8_whatever_is_no_hash_is_none_and_never_a_promise(text):
    assert Pin.parse(text) is None


@pytest.mark.parametrize(
    ("text", "digests", "agrees"),
    [
        (SHA, FEW, True),
        (BLAKE, FEW, True),
        ("e" * 64, FEW, False),
        (f"sha256:{BLAKE}", FEW, False),
        (MD5, ALL, True),
        (MD5, FEW, None),
        ("e" * 32, ALL, False),
        (SHA[:10], FEW, True),
        (BLAKE[:10], FEW, False),
        ("d4" * 6, ALL, True),
        ("d4" * 6, FEW, None),
        (SHA, Digests(sha256=SHA), True),
        (BLAKE, Digests(blake3=BLAKE), True),
        ("e" * 64, Digests(sha256=SHA), None),
        ("sha256:" + "e" * 64, Digests(sha256=SHA), False),
        ("sha256:" + SHA, Digests(blake3=BLAKE), None),
        (SHA[:10], Digests(blake3=BLAKE), None),
    ],
)
def test_a_pin_agrees_disagrees_or_needs_another_digest(text, digests, agrees):
    pin = Pin.parse(text)
    assert pin is not None
    assert pin.agrees(digests) is agrees


@pytest.mark.parametrize(
    ("text", "strong"), [(SHA, True), (f"blake3:{BLAKE}", True), (MD5, False), (SHA[:10], False), (SHA[:12], False)]
)
def test_only_a_full_modern_digest_proves_the_bytes(text, strong):
    pin = Pin.parse(text)
    assert pin is not None
    assert pin.strong is strong


@pytest.mark.parametrize(
    ("one", "other", "contradict"),
    [
        (f"sha256:{SHA}", f"sha256:{BLAKE}", True),
        (f"sha256:{SHA}", f"sha256:{SHA}", False),
        (f"sha256:{SHA}", f"blake3:{BLAKE}", False),
        (f"sha256:{SHA}", SHA[:10], False),
        (f"sha256:{SHA}", BLAKE[:10], True),
        (SHA, BLAKE[:10], False),
        (SHA[:10], BLAKE[:10], True),
        (SHA, MD5, False),
    ],
)
def test_two_pins_contradict_when_no_file_satisfies_both(one, other, contradict):
    a, b = Pin.parse(one), Pin.parse(other)
    assert a is not None
    assert b is not None
    assert a.contradicts(b) is contradict
    assert b.contradicts(a) is contradict


def test_a_pin_is_shown_with_what_it_can_be():
    assert str(Pin.parse(MD5)) == f"md5:{MD5}"
    assert str(Pin.parse(SHA)) == f"sha256|blake3:{SHA}"


@given(st.text(max_size=80))
def test_any_text_is_a_pin_or_none(text):
    pin = Pin.parse(text)
    assert pin is None or (len(pin.hex) in (10, 12, 32, 64) and int(pin.hex, 16) >= 0)


def test_autov2_is_the_beginning_of_the_sha256():
    assert FEW.named("autov2") == SHA[:10]
    assert FEW.named("md5") is None
    assert Digests(blake3=BLAKE).named("autov2") is None


def test_digests_without_a_full_digest_are_our_fault():
    for none in ({}, {"md5": MD5}, {"tensor": "d4" * 32}):
        with pytest.raises(Broken):
            Digests(**none)


def test_they_are_complete_when_the_fleet_can_know_the_file_by_them():
    assert Digests(sha256=SHA).complete
    assert not Digests(blake3=BLAKE).complete


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (FEW, ALL, True),
        (Digests(sha256=SHA), Digests(sha256=SHA, blake3="e" * 64), True),
        (Digests(sha256=SHA), Digests(blake3=BLAKE), False),
        (Digests(sha256=SHA, md5=MD5), Digests(blake3=BLAKE, md5=MD5), False),
        (FEW, Digests(sha256=SHA, blake3="e" * 64), False),
        (Digests(sha256=SHA, md5=MD5), Digests(sha256=SHA, md5="e" * 32), False),
        (Digests(sha256=SHA), Digests(sha256="e" * 64), False),
    ],
)
def test_the_same_bytes_share_a_full_digest_and_differ_in_none(one, other, same):
    assert one.same_bytes(other) is same
    assert other.same_bytes(one) is same


def test_what_was_read_later_is_added_to_what_was_known():
    known = Digests(blake3=BLAKE, md5=MD5)
    assert known.merged(Digests(sha256=SHA, blake3=BLAKE)) == Digests(sha256=SHA, blake3=BLAKE, md5=MD5)


def test_they_are_shown_by_name_and_only_those_that_are_known():
    assert str(Digests(blake3=BLAKE)) == f"blake3:{BLAKE}"
    assert str(FEW) == f"sha256:{SHA} blake3:{BLAKE}"


def test_a_pin_says_what_it_was_compared_with():
    assert Pin.parse("e" * 64).compared(Digests(blake3=BLAKE)) == f"blake3:{BLAKE}"
    assert Pin.parse("e" * 64).compared(FEW) == f"sha256:{SHA} blake3:{BLAKE}"
    assert Pin.parse("e" * 10).compared(FEW) == f"autov2:{SHA[:10]}"


@pytest.mark.parametrize("text", ["m1", "gpu-7_b", "A", "0", "x" * 128])
def test_a_machine_id(text):
    assert str(MachineId.parse(text)) == text


@pytest.mark.parametrize("text", ["", "-a", "_a", "a:b", "a.b", "a b", "a\n", "ä", "x" * 129, "{a}", "a*"])
def test_what_is_no_machine_id_is_a_bad_setting(text):
    with pytest.raises(BadSetting):
        MachineId.parse(text)


def test_k5_only_these_words_mean_a_token():
    assert set(TOKEN_NAMES.values()) == {"HF_TOKEN", "CIVITAI_TOKEN"}
    assert all(word == word.lower() for word in TOKEN_NAMES)
