from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from model_manager.facts.release import kept_releases, releases_of

ONE, TWO = "ab" * 32, "cd" * 32


def version(number: Any, **more: Any) -> dict[str, Any]:
    """As GET /api/v1/models has them."""
    file = {
        "name": f"x_v{number}.safetensors", "sizeKB": 2048.5, "primary": True, "hashes": {"SHA256": ONE.upper(), "AutoV2": "AB"},
        "downloadUrl": f"https://civitai.com/api/download/models/{number}",
    }  # fmt: skip
    base = {"id": number, "name": f"v{number}", "baseModel": "SDXL 1.0", "publishedAt": "2025-01-02T03:04:05.678Z"}
    return base | {"files": [file]} | more


def test_versions_are_read_latest_first_with_their_primary_file() -> None:
    vae = {"name": "vae.pt", "hashes": {"SHA256": TWO}}
    found = releases_of({"id": 7, "modelVersions": [version(70), version(71, files=[vae, version(71)["files"][0]])]})
    assert found is not None
    model, (latest, first) = found
    assert (model, latest.version, first.version) == ("7", "71", "70")
    assert (latest.name, latest.base, latest.published) == ("v71", "SDXL 1.0", "2025-01-02T03:04:05Z")
    assert (latest.file, latest.size, latest.hashes) == ("x_v71.safetensors", 2_097_664, (ONE, TWO))
    assert latest.url == "https://civitai.com/api/download/models/71"


def test_no_token_and_no_script_stays_in_an_address() -> None:
    (token, script) = (
        version(1, files=[{"name": "a", "downloadUrl": "https://civitai.com/api/download/models/1?token=secret"}]),
        version(2, files=[{"name": "a", "downloadUrl": "javascript:alert(1)"}]),
    )
    found = releases_of({"id": 1, "modelVersions": [token, script]})
    assert found is not None
    assert [each.url for each in found[1]] == [f"https://civitai.com/api/download/models/{n}" for n in (2, 1)]


@pytest.mark.parametrize(
    "record", [{}, {"id": 7}, {"id": "x", "modelVersions": []}, {"id": 7, "modelVersions": {}}, {"id": -1, "modelVersions": []}]
)  # fmt: skip
def test_what_is_no_model_is_none(record: Any) -> None:
    assert releases_of(record) is None


def test_a_version_that_cannot_be_read_is_left_out() -> None:
    odd = [
        None,
        3,
        {},
        version("x"),
        version(5, files=[]),
        version(10**13),
        version(6, name=None, baseModel=7, publishedAt="soon"),
    ]
    found = releases_of({"id": 7, "modelVersions": odd})
    assert found is not None
    assert [(each.version, each.name, each.base, each.published) for each in found[1]] == [("6", "6", "", "")]


def test_what_is_kept_is_what_was_read() -> None:
    found = releases_of({"id": 7, "modelVersions": [version(70)]})
    assert found is not None
    assert kept_releases([{**asdict(found[1][0]), "hashes": [ONE]}]) == found[1]
