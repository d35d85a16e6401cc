from __future__ import annotations

import pytest

from model_manager.agent.assignment.asking import Asking
from model_manager.facts import asked
from model_manager.facts.model import Model
from tests.agent.stage import Stage, model

A, B = model("vae/a.safetensors", b"a"), model("loras/b.safetensors", b"b")


def asking(scene: Stage) -> Asking:
    return Asking(scene.state / "asked-models.json", scene.shelves)


def names(models: object) -> list[str]:
    assert isinstance(models, Asking)
    return [each.name for each in models.models]


async def test_what_was_asked_for_outlives_a_restart_with_all_that_a_download_needs(scene: Stage) -> None:
    asking(scene).add([A, B])
    (first, second) = asking(scene).models
    assert [(each.path, each.pin, each.sources) for each in (first, second)] == [
        (each.path, each.pin, each.sources) for each in (A, B)
    ]


async def test_what_has_come_is_forgotten_and_the_rest_stays(scene: Stage) -> None:
    first = asking(scene)
    first.add([A, B])
    await scene.holds("vae/a.safetensors", b"a")
    first.settle()
    assert names(first) == [A.name, B.name]
    assert names(asking(scene)) == [B.name]
    await scene.holds("loras/b.safetensors", b"b")
    first.settle()
    assert not (scene.state / "asked-models.json").exists()


async def test_other_bytes_at_its_place_are_not_the_model(scene: Stage) -> None:
    first = asking(scene)
    first.add([A])
    await scene.holds("vae/a.safetensors", b"something else")
    first.settle()
    assert names(asking(scene)) == [A.name]


async def test_addresses_may_hold_secrets_so_only_the_owner_reads_them(scene: Stage) -> None:
    asking(scene).add([A])
    assert (scene.state / "asked-models.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"models": [{"path": "../x"}]}'])
async def test_a_file_that_is_damaged_is_said_and_starts_empty(scene: Stage, content: bytes) -> None:
    (scene.state / "asked-models.json").write_bytes(content)
    assert names(asking(scene)) == []


async def test_a_file_that_cannot_be_written_does_not_stop_the_work(scene: Stage) -> None:
    (scene.state / "asked-models.tmp").mkdir()
    first = asking(scene)
    first.add([A])
    assert names(first) == [A.name]


async def test_only_as_many_are_kept_as_are_read_again(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_manager.agent.assignment.asking.MOST", 2)
    monkeypatch.setattr(asked, "MOST", 2)
    many: list[Model] = [model(f"vae/{n}.safetensors", b"%d" % n) for n in range(3)]
    asking(scene).add(many)
    assert names(asking(scene)) == ["1.safetensors", "2.safetensors"]
