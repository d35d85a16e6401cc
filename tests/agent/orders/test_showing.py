from __future__ import annotations

from base64 import b64decode
from pathlib import Path

from model_manager.agent.orders.showing import LARGEST, Showing
from model_manager.facts.description import Lore, told_of
from model_manager.facts.model import Assignment, Model, Requirements, Wanted
from model_manager.index.reading import Shop
from tests.agent.stage import AT, Stage
from tests.stories.machine import safetensors, sha256

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 20
DATA = safetensors(5000)


def showing(scene: Stage) -> Showing:
    return Showing(scene.board, scene.shelves, lambda: Shop.open(scene.state / "index.sqlite"))


async def test_everything_that_the_index_knows_is_shown(scene: Stage) -> None:
    held = await scene.holds("loras/a.safetensors", DATA)
    told = told_of({"civitai_model_base": "SDXL"}, "forge", AT)
    await scene.index.learn([(held.file, Lore(file=held.file, told=told))], at=AT)
    wanted = Wanted(model=Model(name="a", path=held.shelf, sources=()), required=True, needed_by=("workflow:w",))
    scene.board.requirements = Requirements(generation="g", assignment=Assignment(), wanted=(wanted,))
    (said,) = await showing(scene).show([held.file], pictures=False)
    assert (said["path"], said["folder"], said["needed_by"], said["required"]) == (
        held.file,
        "loras",
        ["workflow:w"],
        True,
    )
    assert said["hashes"]["sha256"] == sha256(DATA)
    assert said["hashes"]["autov2"] == sha256(DATA)[:10]
    assert said["told"] == [{"field": "civitai_model_base", "value": "SDXL", "teller": "forge", "at": AT}]
    assert "preview" not in said


async def test_a_picture_is_shown_as_it_is(scene: Stage) -> None:
    held = await scene.holds("loras/a.safetensors", DATA)
    scene.put("loras/a.preview.png", PNG)
    (said,) = await showing(scene).show([held.file], pictures=True)
    assert b64decode(said["preview"]) == PNG


async def test_k6_what_is_no_picture_too_large_or_elsewhere_is_not_sent(scene: Stage, tmp_path: Path) -> None:
    held = await scene.holds("loras/a.safetensors", DATA)
    picture = scene.put("loras/a.preview.png", b"<svg><script>1</script></svg>")
    assert (await showing(scene).show([held.file], pictures=True))[0]["preview"] == ""
    picture.write_bytes(PNG + b"x" * LARGEST)
    assert (await showing(scene).show([held.file], pictures=True))[0]["preview"] == ""
    secret = tmp_path / "secret.png"
    secret.write_bytes(PNG)
    picture.unlink()
    picture.symlink_to(secret)
    (said,) = await showing(scene).show([held.file], pictures=True)
    assert (said["preview"], bool(said["why"])) == ("", True)
