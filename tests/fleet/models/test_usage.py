from __future__ import annotations

from dataclasses import replace

import pytest

from model_manager.facts.mirror import Copy, copy_of
from model_manager.fleet.models.usage import Usage
from tests.bus.telling import entry

SHA = "ab" * 32


def copy(name: str = "SD15/a.safetensors", folder: str = "loras", sha256: str = SHA) -> Copy:
    return copy_of(replace(entry(name, folder), hash=sha256))


@pytest.mark.parametrize(
    "word",
    ["n:a.safetensors", "n:SD15/a.safetensors", "f:loras/SD15/a.safetensors", f"h:{SHA}", f"h:{SHA[:10]}"],
)
def test_whatever_a_job_called_it_it_was_used(word: str) -> None:
    usage = Usage({"m1": {word: 7}})
    assert usage.there("m1", copy()) == 7
    assert usage.anywhere("loras", "SD15/a.safetensors", (SHA,)) == 7
    assert usage.there("m2", copy()) is None


@pytest.mark.parametrize("word", ["n:5/a.safetensors", "f:vae/SD15/a.safetensors", "n:loras/SD15/a.safetensors", "h:"])
def test_another_model_was_not(word: str) -> None:
    usage = Usage({"m1": {word: 7}})
    assert usage.there("m1", copy(sha256="")) is None
    assert usage.anywhere("loras", "SD15/a.safetensors", ("", SHA)) is None


def test_a_folder_of_an_old_name_is_called_by_its_new_one() -> None:
    assert Usage({"m1": {"f:diffusion_models/x.safetensors": 7}}).there("m1", copy("x.safetensors", "unet")) == 7


def test_the_latest_of_all_machines_counts_and_of_all_words() -> None:
    usage = Usage({"m1": {"n:a.safetensors": 7, f"h:{SHA}": 8}, "m2": {"n:a.safetensors": 9}})
    assert (usage.there("m1", copy()), usage.anywhere("loras", "a.safetensors", ())) == (8, 9)
    assert Usage({}).anywhere("loras", "a.safetensors", ()) is None


def test_what_differs_is_what_either_knows_otherwise() -> None:
    before, after = Usage({"m1": {"n:a": 1, "n:b": 2, "n:c": 3}}), Usage({"m2": {"n:b": 2, "n:c": 4, "n:d": 5}})
    assert before.differing(after) == after.differing(before) == {"n:a", "n:c", "n:d"}
    assert before.differing(before) == set()
