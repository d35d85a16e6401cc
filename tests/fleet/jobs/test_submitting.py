"""Models as people write them, as routing compares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from model_manager.errors import OriginUnavailable
from model_manager.fleet.jobs.submitting import Words, listed, meant, named, plain
from model_manager.serving.problems import Answer

SHA = "AB" * 32


async def known(asked: str) -> Sequence[str]:
    if asked == "7":
        raise OriginUnavailable(host="civitai.com", name=asked, why="it is away")
    return [SHA] if asked in ("128713", "abcdef012345") else []


@pytest.mark.parametrize(
    ("model", "word"),
    [
        ("x.safetensors", "x.safetensors"),
        (SHA, f"sha256:{SHA.lower()}"),
        ("ABCDEF0123", "autov2:abcdef0123"),
        ("abcdef", "abcdef"),
        ("abcdef012345", None),
        ("civitai:128713", None),
        ({"name": "x"}, {"name": "x"}),
    ],
)
def test_a_hash_is_known_by_its_digits(model: Any, word: Any) -> None:
    assert plain(model) == word


async def test_ids_of_civitai_and_its_hashes_become_digests() -> None:
    found, asked = await Words(known).understood(["civitai:128713", "a.pt", "abcdef012345"])
    assert found == [f"sha256:{SHA.lower()}", "a.pt", f"sha256:{SHA.lower()}"]
    assert set(asked) == {f"sha256:{SHA.lower()}"}


@pytest.mark.parametrize(
    ("words", "model", "status", "part"),
    [
        (Words(None), "civitai:1", 400, "cannot be looked up here"),
        (Words(known), "civitai:1", 400, "Nobody here knows 'civitai:1'"),
        (Words(known), "civitai:7", 503, "it is away"),
    ],
)
async def test_what_nobody_can_look_up_is_refused_and_never_left_out(
    words: Words, model: str, status: int, part: str
) -> None:
    with pytest.raises(Answer) as refused:
        await words.understood([model])
    assert refused.value.status == status
    assert part in refused.value.detail


async def test_one_job_does_not_look_up_for_ever() -> None:
    with pytest.raises(Answer, match="must be looked up"):
        await Words(known).understood(["civitai:128713"] * 17)


async def test_a_body_becomes_a_job() -> None:
    given = await meant({"asks": {"models": SHA}, "payload": "as it is", "id": "j"}, Words(None))
    assert (given.job.asks, given.job.payload, given.dry) == ({"models": [f"sha256:{SHA.lower()}"]}, b"as it is", False)
    assert given.asked == {f"sha256:{SHA.lower()}": SHA}
    assert named(given, "other").job.id == "other"


def test_all_is_no_model() -> None:
    assert (listed("all"), listed(None), listed("x")) == ([], [], ["x"])


@pytest.mark.parametrize("body", [{"payload": 2**70}, {"asks": {"ram_gb": 2**70}}])
async def test_numbers_that_could_not_be_given_back_are_refused(body: Any) -> None:
    with pytest.raises(Answer, match="beyond 64 bits"):
        await meant(body, Words(None))
