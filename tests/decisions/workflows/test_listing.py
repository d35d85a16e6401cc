"""What nodes list."""

from __future__ import annotations

from typing import Any

import pytest

from model_manager.decisions.workflows.listing import address, listed, package_of

SHA = "ab" * 32


def test_a_list_of_models_tells_address_folder_and_hash() -> None:
    (one,) = listed(
        [
            {
                "name": "x.safetensors",
                "url": "https://h.test/x",
                "directory": "models/unet",
                "hash": SHA,
                "hash_type": "SHA256",
            }
        ]
    )
    assert (one.name, one.url, one.folder) == ("x.safetensors", "https://h.test/x", "diffusion_models")
    assert one.pin is not None
    assert str(one.pin) == f"sha256:{SHA}"


@pytest.mark.parametrize("models", [None, 3, {}, [None, {}, {"name": 3}]])
def test_what_is_no_list_of_models_lists_nothing(models: Any) -> None:
    assert listed(models) == ()


def test_odd_fields_of_an_entry_are_left_out() -> None:
    (one,) = listed([{"name": "x.pt", "url": "file:///etc", "directory": 3, "hash": "zz", "hash_type": "sha256"}])
    assert (one.url, one.folder, one.pin) == ("", "", None)


def test_a_node_says_where_it_is_from() -> None:
    assert package_of({"properties": {"cnr_id": "comfy-core", "ver": "0.3.1"}}) == ("comfy-core", "0.3.1")
    assert package_of({"_meta": {"title": "x", "aux_id": "owner/repo", "ver": "abc"}}) == ("owner/repo", "abc")
    assert package_of({"properties": {"cnr_id": 3}}) == ("", "")
    assert package_of({}) == ("", "")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h.test/x.pt?download=true", "https://h.test/x.pt?download=true"),
        ("https://civitai.com/api/download/models/1?type=Model&token=CANARY", "https://civitai.com/api/download/models/1?type=Model"),
        ("https://user:CANARY@h.test/x.pt#part", "https://h.test/x.pt"),
        ("https://h.test/x?api_key=CANARY", "https://h.test/x"),
        ("ftp://h.test/x", ""), ("https://", ""), ("https://[::1", ""), ("x\ny", ""), (None, ""), ("https://h.test/" + "a" * 3000, ""),
    ],
)  # fmt: skip
def test_addresses_come_without_secrets(url: Any, expected: str) -> None:
    assert address(url) == expected
