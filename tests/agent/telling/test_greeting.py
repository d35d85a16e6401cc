from __future__ import annotations

from model_manager import __version__
from model_manager.agent.telling.greeting import hello
from tests.agent.stage import Stage


async def test_a_run_begins_with_what_is_held(scene: Stage) -> None:
    assert (hello(scene.shelves).models, hello(scene.shelves).bytes) == (0, 0)
    await scene.holds("vae/a.safetensors", b"12345")
    said = hello(scene.shelves)
    assert (said.version, said.models, said.bytes) == (__version__, 1, 5)
    assert said.boot_id
