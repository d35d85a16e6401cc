from __future__ import annotations

import os
from pathlib import Path

from model_manager.agent.assignment.judging import UNINDEXED, as_indexed, candidates, layout_of
from model_manager.cli.model.opening import opened
from model_manager.facts.resolution import Extra, Layout, Wish
from model_manager.settings import load
from tests.cli.model.conftest import put
from tests.cli.workflow.conftest import LORA, Machine


def test_links_lead_to_the_name_that_the_index_has(tmp_path: Path) -> None:
    (tmp_path / "real" / "loras").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert as_indexed(str(tmp_path / "link" / "loras"), [str(tmp_path / "real")]) == str(tmp_path / "real" / "loras")
    assert as_indexed(str(tmp_path / "real"), [str(tmp_path / "link")]) == str(tmp_path / "link")
    assert as_indexed(str(tmp_path / "other"), [str(tmp_path / "real")]) == str(tmp_path / "other")


def test_without_a_comfyui_every_directory_is_searched_and_that_is_said(machine: Machine, tmp_path: Path) -> None:
    with opened(None) as shop:
        layout = layout_of(load({"MODEL_MANAGER_STATE_DIR": str(tmp_path)}), shop, None)
    assert layout == Layout(trees=(str(machine.comfy / "models"),), assumed=True)


def test_a_store_that_is_shown_by_links_stands_beside_the_tree_and_else_before_it(
    machine: Machine, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    put(store / "loras" / "s.safetensors", LORA)
    environ = {
        "MODEL_MANAGER_STORE": str(store),
        "COMFYUI_BASE_PATH": str(machine.comfy),
        "MODEL_MANAGER_STATE_DIR": str(tmp_path),
    }
    os.environ["MODEL_MANAGER_STORE"] = str(store)
    try:
        assert machine.call("model", "index", "sync")[0] == 0
    finally:
        del os.environ["MODEL_MANAGER_STORE"]
    with opened(None) as shop:
        links = layout_of(load(environ), shop, None)
        yaml = layout_of(load({**environ, "MODEL_MANAGER_EXPOSE": "none"}), shop, None)
    assert links.directories("loras")[:2] == (str(machine.comfy / "models" / "loras"), str(store / "loras"))
    assert yaml.directories("loras")[:2] == (str(store / "loras"), str(machine.comfy / "models" / "loras"))


def test_only_what_the_index_does_not_look_at_is_looked_for_on_the_disk(machine: Machine, tmp_path: Path) -> None:
    other = put(tmp_path / "other" / "s.safetensors", LORA)
    put(machine.comfy / "models" / "loras" / "new.safetensors", LORA)
    layout = Layout(trees=(str(machine.comfy / "models"),), extras=(Extra(category="loras", path=str(other.parent)),))
    wanted = [Wish(name=name, folders=("loras",)) for name in ("s.safetensors", "new.safetensors", "style.safetensors")]
    with opened(None) as shop:
        found = candidates(wanted, shop, layout)
    assert {known.file: known.content_id == UNINDEXED for known in found} == {
        str(other): True, str(machine.comfy / "models" / "loras" / "style.safetensors"): False,
    }  # fmt: skip
