from __future__ import annotations

import hashlib
from typing import get_args

import pytest

from model_manager.facts.description import ORDER, Address, Claim, Field, Lore, Teller, Told, claims_of, told_of
from model_manager.facts.identity import Algorithm

AT = "2026-01-02T03:04:05Z"
SHA = "4feadf2925367c7c8c67a43888bab274c1306672ec82ced8fdd15f1961350730"


def pins(hashes: dict[str, object], *, short: bool = True) -> set[str]:
    return {str(claim.pin) for claim in claims_of(hashes, "x", short=short)}


def test_every_teller_has_its_place_in_the_order() -> None:
    assert sorted(ORDER) == sorted(get_args(Teller))


def test_every_field_can_be_told_and_a_word_that_says_nothing_is_none() -> None:
    for field in get_args(Field):
        assert Told.parse(field, "none", "forge", AT) is None
        assert Told.parse(field, None, "forge", AT) is None
    assert Told.parse("civitai_id", "651553.0", "forge", AT) == Told(
        field="civitai_id", value="651553", teller="forge", at=AT
    )
    assert [word.field for word in told_of({"name": "x", "type": "", "civitai_nsfw": True}, "forge", AT)] == [
        "name",
        "civitai_nsfw",
    ]


@pytest.mark.parametrize(
    ("text", "algorithm", "pin"),
    [
        (SHA.upper(), "sha256", f"sha256:{SHA}"),
        (f" 0x{SHA} ", "tensor", f"tensor:{SHA}"),
        (SHA, None, f"sha256|blake3:{SHA}"),
        (f"blake3:{SHA}", None, f"blake3:{SHA}"),
        (SHA[:10], "autov2", f"autov2:{SHA[:10]}"),
    ],
)  # fmt: skip
def test_a_claim_is_a_hash_however_it_is_written(text: str, algorithm: Algorithm | None, pin: str) -> None:
    claim = Claim.parse(text, "forge", algorithm)
    assert claim
    assert (str(claim.pin), claim.who) == (pin, "forge")


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        (hashlib.sha256().hexdigest(), "sha256"), (hashlib.sha256().hexdigest(), None), ("E3B0C44298FC", "autov3"),
        ("e3b0c44298", "autov2"), ("0" * 64, "sha256"), (SHA[:63], "sha256"), ("g" * 64, "sha256"), ("none", None), ("", None),
        (None, None), (5, "sha256"), (SHA[:8], "autov1"),
    ],
)  # fmt: skip
def test_the_hash_of_nothing_and_what_is_no_hash_are_no_claims(text: object, algorithm: Algorithm | None) -> None:
    assert Claim.parse(text, "x", algorithm) is None


def test_hashes_of_a_record_are_known_by_their_names() -> None:
    hashes: dict[str, object] = {"SHA256": SHA, "AutoV1": "12345678", "AutoV2": SHA[:10], "AutoV3": SHA[:12], "CRC32": "0A0B0C0D", "x": SHA}  # fmt: skip
    assert pins(hashes) == {f"sha256:{SHA}", f"autov2:{SHA[:10]}", f"autov3:{SHA[:12]}", "crc32:0a0b0c0d"}
    assert pins({"AutoV3": SHA}) == {f"tensor:{SHA}"}


def test_an_autov2_counts_when_it_begins_the_sha256_or_when_short_hashes_are_believed() -> None:
    assert pins({"AutoV2": "79038d21eb", "SHA256": SHA}) == {f"sha256:{SHA}"}
    assert pins({"AutoV2": "79038d21eb"}) == {"autov2:79038d21eb"}
    assert pins({"AutoV2": "79038d21eb"}, short=False) == set()
    assert pins({"AutoV2": SHA[:10], "SHA256": SHA}, short=False) == {f"sha256:{SHA}", f"autov2:{SHA[:10]}"}


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://civitai.com/api/download/models/1", "civitai"),
        ("https://HuggingFace.co/o/n/resolve/main/x", "huggingface"),
        ("https://civitai.com.evil.test/x", "url"),
        ("http://x.test/civitai.com", "url"),
    ],
)
def test_the_exact_host_tells_the_kind_of_an_address(url: str, kind: str) -> None:
    address = Address.parse(url, {"id": "1"})
    assert address
    assert (address.kind, address.data) == (kind, {"id": "1"})


def test_k5_an_address_carries_no_token() -> None:
    address = Address.parse("https://civitai.com/api/download/models/1?token=secret")
    assert address
    assert "secret" not in repr(address)
    assert Address.parse("https://user:secret@x.test/") is None
    assert Address.parse(5) is None


def test_a_file_of_which_nothing_is_known_is_a_lore_too() -> None:
    assert Lore(file="/m/x").quick == ()
