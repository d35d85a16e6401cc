from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from model_manager.agent.holdings import describing as module
from model_manager.agent.holdings.describing import Describing
from model_manager.agent.holdings.grouping import Grouping
from model_manager.errors import DiskUnavailable
from model_manager.facts.description import Told
from model_manager.facts.disk import Held
from model_manager.index.reading import Shop
from model_manager.library.contents import headers
from model_manager.neighbours import sidecars
from tests.agent.stage import Stage, running, turns, until

A, B = "loras/a.safetensors", "loras/b.safetensors"
FORGE = {"sd version": "SDXL", "activation text": "cat, dog"}


class Asked:
    """Somebody who asks a service, and says when he may again."""

    def __init__(self, *rests: float) -> None:
        self.rests = list(rests)
        self.times = 0

    async def ask(self) -> float:
        self.times += 1
        return self.rests.pop(0) if self.rests else 3600.0


def describing(scene: Stage, asking: Asked | None = None) -> Describing:
    grouping = Grouping(scene.board, scene.shelves, scene.index)
    return Describing(scene.board, scene.shelves, scene.index, grouping, asking or Asked())


def lora(**metadata: str) -> bytes:
    """A small safetensors file whose header tells these."""
    header = {"__metadata__": metadata, "w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"data"


def scan_ended(scene: Stage, number: int) -> None:
    scene.board.scan_finished = f"2026-01-02T03:04:{number:02}.000Z"


def clocks_agree(scene: Stage, monkeypatch: pytest.MonkeyPatch, ahead: float = 0.0) -> None:
    """The clock that is handed in says what the disk's does, or is `ahead` by so many seconds."""
    monkeypatch.setattr(scene.clock, "epoch_ms", lambda: int((time.time() + ahead) * 1000))


def told(scene: Stage, place: str) -> dict[tuple[str, str], str]:
    """(teller, field) → what is told of a file."""
    words: tuple[Told, ...] = details(scene, place).told
    return {(word.teller, word.field): word.value for word in words}


def details(scene: Stage, place: str):
    with Shop.open(scene.state / "index.sqlite") as shop:
        (known,) = shop.find(str(scene.store / place))
        return shop.show(known.content_id)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose headers are read."""
    seen: list[str] = []
    real = headers.read

    def noted(file: str):
        seen.append(Path(file).name)
        return real(file)

    monkeypatch.setattr(headers, "read", noted)
    return seen


async def test_a_new_file_is_described_by_its_header_by_what_lies_beside_it_and_by_huggingfaces_note(
    scene: Stage,
) -> None:
    held = await scene.holds(A, lora(ss_base_model_version="sdxl_base_v1-0"), hashed=False, evidence=None)
    scene.put("loras/a.json", json.dumps(FORGE).encode())
    scene.put("loras/a.preview.png", b"\x89PNG\r\n\x1a\n")
    note = f"{'c' * 40}\n{'ab12' * 16}\n{held.fingerprint.mtime_ns / 1e9 + 1}\n"
    scene.put("loras/.cache/huggingface/download/a.safetensors.metadata", note.encode())
    scan_ended(scene, 1)
    assert await describing(scene).look() == 1
    found = told(scene, A)
    assert found["embedded", "civitai_model_base"] == "sdxl_base_v1-0"
    assert found["forge", "civitai_model_base"] == "SDXL"
    detail = details(scene, A)
    assert ("huggingface", "ab12" * 16) in {(claim.who, claim.pin.hex) for claim in detail.claims}
    assert detail.previews == (str(scene.store / "loras/a.preview.png"),)


async def test_what_was_described_is_not_read_again_and_what_changed_is(scene: Stage, looked_at: list[str]) -> None:
    await scene.holds(A, lora(ss_output_name="one"), hashed=False, evidence=None)
    await scene.holds(B, lora(ss_output_name="other"), hashed=False, evidence=None)
    eyes = describing(scene)
    assert await eyes.look() == 2
    assert await eyes.look() == 0
    scene.put(A, lora(ss_output_name="another"))
    await scene.shelves.enter(scene.held(A, hashed=False, evidence=None))
    assert await eyes.look() == 1
    assert looked_at == ["a.safetensors", "b.safetensors", "a.safetensors"]
    assert told(scene, A)["embedded", "name"] == "another"


async def test_what_is_laid_beside_a_model_later_is_read_after_the_next_scan(
    scene: Stage, looked_at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks_agree(scene, monkeypatch)
    await scene.holds(A, lora(), hashed=False, evidence=None)
    await scene.holds(B, lora(ss_output_name="b"), hashed=False, evidence=None)
    eyes = describing(scene)
    scan_ended(scene, 1)
    await eyes.look()
    scene.put("loras/a.json", json.dumps(FORGE).encode())
    await eyes.look()
    assert told(scene, A) == {}
    scene.board.scan_finished = ""
    await eyes.look()
    assert told(scene, A) == {}
    scan_ended(scene, 2)
    await eyes.look()
    assert told(scene, A)["forge", "civitai_model_base"] == "SDXL"
    assert looked_at == ["a.safetensors", "b.safetensors"]


async def test_what_was_laid_down_while_we_were_away_is_read_after_a_restart(
    scene: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks_agree(scene, monkeypatch)
    await scene.holds(A, lora(), hashed=False, evidence=None)
    scan_ended(scene, 1)
    await describing(scene).look()
    scene.put("loras/a.json", json.dumps(FORGE).encode())
    await describing(scene).look()
    assert told(scene, A)["forge", "civitai_model_base"] == "SDXL"


async def test_a_description_that_is_written_to_in_place_is_read_within_the_hour_or_at_a_start(
    scene: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks_agree(scene, monkeypatch)
    real = module._changed
    monkeypatch.setattr(module, "_changed", lambda path: 0.0 if os.path.isdir(path) else real(path))
    await scene.holds(A, lora(), hashed=False, evidence=None)
    beside = scene.put("loras/a.json", json.dumps({**FORGE, "sd version": "SD1"}).encode())
    eyes = describing(scene)
    for scan in (1, 2):
        scan_ended(scene, scan)
        await eyes.look()
    with Path(beside).open("r+b") as file:
        file.write(json.dumps(FORGE).encode())
        file.truncate()
    scan_ended(scene, 3)
    await eyes.look()
    assert told(scene, A)["forge", "civitai_model_base"] == "SD1"
    scene.clock.seconds += module.THOROUGH
    scan_ended(scene, 4)
    await eyes.look()
    assert told(scene, A)["forge", "civitai_model_base"] == "SDXL"
    with Path(beside).open("r+b") as file:
        file.write(json.dumps({**FORGE, "sd version": "SD1"}).encode())
        file.truncate()
    await describing(scene).look()
    assert told(scene, A)["forge", "civitai_model_base"] == "SD1"


async def test_a_quiet_scan_reads_nothing_again(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    clocks_agree(scene, monkeypatch, ahead=2 * module.LEEWAY)
    await scene.holds(A, lora(), hashed=False, evidence=None)
    scene.put("loras/a.json", json.dumps(FORGE).encode())
    eyes = describing(scene)
    scan_ended(scene, 1)
    await eyes.look()

    def nobody(*_: object):
        raise AssertionError("it was read again")

    monkeypatch.setattr(sidecars, "read", nobody)
    monkeypatch.setattr(sidecars, "names", nobody)
    scan_ended(scene, 2)
    assert await eyes.look() == 0


async def test_c10_files_of_a_directory_that_is_away_wait_and_stand_in_nobodys_way(
    scene: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked_at: list[str]
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    await scene.holds(A, lora(), hashed=False, evidence=None)
    here = scene.held(A, hashed=False, evidence=None)
    away = [_elsewhere(here, tmp_path, f"{number}.safetensors") for number in range(5)]
    for held in away:
        await scene.shelves.enter(held)
    scene.board.lost_roots[str(tmp_path / "nas")] = "it does not exist"
    await scene.holds(B, lora(), hashed=False, evidence=None)
    eyes = describing(scene)
    scan_ended(scene, 1)
    assert await eyes.look() == 2
    assert looked_at == ["a.safetensors", "b.safetensors"]
    scene.board.lost_roots.clear()
    assert await eyes.look() == 5


def _elsewhere(held: Held, tmp_path: Path, name: str) -> Held:
    root = str(tmp_path / "nas")
    return replace(held, file=f"{root}/loras/{name}", root=root)


async def test_a_directory_that_cannot_be_read_is_tried_once_a_scan(
    scene: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.holds(A, lora(), hashed=False, evidence=None)
    scene.put("loras/a.json", json.dumps(FORGE).encode())
    real, tries = sidecars.names, []

    def failing(directory: str):
        tries.append(directory)
        raise DiskUnavailable(doing="read", path=directory, why="Input/output error")

    monkeypatch.setattr(sidecars, "names", failing)
    clocks_agree(scene, monkeypatch, ahead=2 * module.LEEWAY)
    eyes = describing(scene)
    scan_ended(scene, 1)
    assert await eyes.look() == 1
    await eyes.look()
    assert len(tries) == 1
    scan_ended(scene, 2)
    await eyes.look()
    assert len(tries) == 2
    monkeypatch.setattr(sidecars, "names", real)
    scan_ended(scene, 3)
    await eyes.look()
    assert told(scene, A)["forge", "civitai_model_base"] == "SDXL"


async def test_who_wants_no_metadata_has_nothing_read(scene: Stage, looked_at: list[str]) -> None:
    scene.configure(MODEL_MANAGER_METADATA="none")
    await scene.holds(A, lora(), hashed=False, evidence=None)
    asking = Asked()
    async with running(describing(scene, asking).run):
        await turns()
        assert (looked_at, asking.times) == ([], 0)
        scene.configure(MODEL_MANAGER_METADATA="local")
        scene.board.bells.describing.ring()
        await until(lambda: looked_at)
    assert asking.times == 0


async def test_where_a_download_came_from_is_kept_also_for_who_wants_no_metadata(scene: Stage) -> None:
    scene.configure(MODEL_MANAGER_METADATA="none")
    held = await scene.holds(A, lora(), hashed=False, evidence=None)
    async with running(describing(scene).run):
        scene.shelves.came_from(held, "https://models.example.com/a.safetensors?token=secret")
        await until(lambda: details(scene, A).addresses)
    (address,) = details(scene, A).addresses
    assert (address.kind, address.url) == ("url", "https://models.example.com/a.safetensors")


async def test_every_change_of_what_is_held_rings_and_is_described(scene: Stage) -> None:
    async with running(describing(scene).run):
        await scene.holds(A, lora(ss_output_name="a"), hashed=False, evidence=None)
        await until(_told_of(scene, A))
        await scene.holds(B, lora(ss_output_name="b"), hashed=False, evidence=None)
        await until(_told_of(scene, B))


def _told_of(scene: Stage, place: str) -> Callable[[], object]:
    return lambda: told(scene, place)


async def test_questions_are_put_in_rounds_and_not_at_every_ring(scene: Stage) -> None:
    scene.configure(MODEL_MANAGER_METADATA="civitai")
    asking = Asked(0.0, 3600.0)
    async with running(describing(scene, asking).run):
        await until(lambda: asking.times == 2)
        for _ in range(5):
            scene.board.bells.describing.ring()
            await turns(2)
        assert asking.times == 2
        scene.clock.seconds += module.PAUSE
        scene.board.bells.describing.ring()
        await until(lambda: asking.times == 3)


async def test_a_person_has_every_question_put_that_is_due(scene: Stage) -> None:
    asking = Asked(0.0, 0.0, 60.0, 0.0)
    await describing(scene, asking).inquire()
    assert asking.times == 3


async def test_a_file_that_is_no_model_says_nothing_and_is_left_in_peace(scene: Stage, looked_at: list[str]) -> None:
    await scene.holds(A, b"<html>", hashed=False, evidence=None)
    eyes = describing(scene)
    assert await eyes.look() == 1
    assert await eyes.look() == 0
    assert told(scene, A) == {}
