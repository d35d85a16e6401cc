from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.errors import AlreadyRunning, BadSetting
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Size, Source
from model_manager.facts.shelf import ShelfPath
from model_manager.library.lock import hold
from model_manager.settings import Settings
from model_manager.workbench.run import workbench
from tests.cli.serving import Shelf, served
from tests.stories.machine import safetensors, sha256
from tests.workbench.making import put, settings, tree

DATA = safetensors(5000, 42)


def model(name: str, url: str = "", data: bytes | None = None) -> Model:
    return Model(
        name=name,
        path=ShelfPath(folder="loras", name=name),
        sources=(Source(url=url),) if url else (),
        size=Size(bytes=len(data), exact=True) if data else None,
        pin=Pin(algorithms=("sha256",), hex=sha256(data)) if data else None,
    )


def storing(tmp_path: Path, shelf: Shelf, **more: str) -> Settings:
    (tmp_path / "models").mkdir(exist_ok=True)
    hosts = {"MODEL_MANAGER_ALLOW_HOSTS": shelf.host, "MODEL_DOWNLOAD_RETRY_ATTEMPTS": "1", "HF_HOME": str(tmp_path)}
    return settings(tmp_path, MODEL_MANAGER_STORE=str(tmp_path / "models"), **hosts, **more)


async def test_a_model_is_fetched_verified_placed_and_its_source_remembered(tmp_path: Path) -> None:
    with served() as shelf:
        url = shelf.put("/a.safetensors", DATA)
        async with workbench(storing(tmp_path, shelf)) as bench:
            (brought,) = await (await bench.bringing()).bring([model("a.safetensors", url, DATA)])
            held = brought.held
    assert (brought.outcome, held and held.evidence) == ("fetched", "pin")
    assert (tmp_path / "models" / "loras" / "a.safetensors").read_bytes() == DATA
    async with workbench(storing(tmp_path, shelf)) as bench:
        from model_manager.index.reading import Shop

        with Shop.open(tmp_path / "state" / "index.sqlite") as shop:
            (known,) = shop.find(url)
    assert known.name == "a.safetensors"


async def test_bytes_that_are_here_are_linked_and_nothing_is_asked_of_the_net(tmp_path: Path) -> None:
    nas = tree(tmp_path)
    data = put(tmp_path / "nas", "loras/z.safetensors", 9).read_bytes()
    with served() as shelf:
        async with workbench(storing(tmp_path, shelf)) as bench:
            await bench.tracking.add(str(nas))
            await bench.sync()
            (brought,) = await (await bench.bringing()).bring([model("new.safetensors", shelf.url("/no"), data)])
        assert shelf.asked == []
    assert brought.outcome == "linked"
    assert (tmp_path / "models" / "loras" / "new.safetensors").read_bytes() == data


async def test_what_is_in_its_place_stays_as_it_is(tmp_path: Path) -> None:
    put(tmp_path / "models", "loras/a.safetensors", 1)
    data = (tmp_path / "models" / "loras" / "a.safetensors").read_bytes()
    with served() as shelf:
        async with workbench(storing(tmp_path, shelf)) as bench:
            await bench.sync()
            (brought,) = await (await bench.bringing()).bring([model("a.safetensors", shelf.url("/no"), data)])
        assert shelf.asked == []
    assert brought.outcome == "here"


async def test_promise_10_one_that_cannot_be_had_delays_no_other_and_says_why(tmp_path: Path) -> None:
    with served() as shelf:
        good = shelf.put("/good.safetensors", DATA)
        wrong = shelf.put("/wrong.safetensors", safetensors(5000, 1))
        wanted = [
            model("good.safetensors", good, DATA),
            model("none.safetensors", shelf.url("/none"), safetensors(5000, 2)),
            model("wrong.safetensors", wrong, safetensors(5000, 3)),
        ]
        async with workbench(storing(tmp_path, shelf)) as bench:
            brought = await (await bench.bringing()).bring(wanted)
    said = {each.model.name: each for each in brought}
    assert {name: each.outcome for name, each in said.items()} == {
        "good.safetensors": "fetched", "none.safetensors": "failed", "wrong.safetensors": "failed",
    }  # fmt: skip
    assert "does not have" in said["none.safetensors"].why
    assert said["wrong.safetensors"].why
    assert [path.name for path in (tmp_path / "models" / "loras").iterdir()] == ["good.safetensors"]


async def test_where_no_store_is_named_nothing_is_fetched(tmp_path: Path) -> None:
    async with workbench(settings(tmp_path)) as bench:
        with pytest.raises(BadSetting, match="MODEL_MANAGER_STORE"):
            await bench.bringing()


async def test_i1_a_store_that_somebody_else_writes_to_is_left_alone(tmp_path: Path) -> None:
    with served() as shelf:
        mine = storing(tmp_path, shelf)
        async with workbench(mine) as bench:
            with hold(str(tmp_path / "models" / ".model_manager.lock"), "another"), pytest.raises(AlreadyRunning):
                await bench.bringing()
