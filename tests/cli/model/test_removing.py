from __future__ import annotations

import click
import pytest

from model_manager.cli.model.removing import meant
from model_manager.errors import NotFound
from model_manager.facts.manifest import Manifest, ManifestModel
from tests.cli.workflow.conftest import LORA, Machine, machine
from tests.stories.machine import sha256

__all__ = ["machine"]


def test_a_model_leaves_the_manifest_and_stays_on_the_disk(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    assert machine.run("workflow", "track", str(flow))[0] == 0
    code, _, err = machine.run("model", "remove", sha256(LORA)[:10])
    assert (code, "workflow flow" in err) == (0, True)
    assert sha256(LORA) not in machine.manifest
    assert (machine.comfy / "models" / "loras" / "style.safetensors").exists()
    code, _, err = machine.run("model", "remove", "style.safetensors")
    assert (code, "style.safetensors" in err) == (65, True)


def test_a_name_means_one_model_or_is_asked_about() -> None:
    one = ManifestModel(key="1", folder="vae", name="a/x.pt")
    two = ManifestModel(key="2", folder="vae", name="b/x.pt")
    manifest = Manifest(models=(one, two))
    assert meant(manifest, "vae/a/x.pt", "m") == meant(manifest, "a/x.pt", "m") == meant(manifest, "1", "m") == one
    with pytest.raises(click.UsageError, match="one of several"):
        meant(manifest, "x.pt", "m")
    with pytest.raises(NotFound):
        meant(manifest, "y.pt", "m")
