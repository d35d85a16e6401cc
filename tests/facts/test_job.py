from __future__ import annotations

import json

import pytest

from model_manager.errors import BadRecord, BadRequest
from model_manager.facts.job import Asks, Hardware, Job, asked, capabilities_in


def test_what_is_not_asked_for_is_not_said() -> None:
    assert Asks().plain() == {}
    assert Job(id="1").asked() == b"{}"


def test_everything_that_can_be_asked_is_said_by_its_name() -> None:
    asks = Asks(
        service="comfyui",
        models=("a.safetensors",),
        gpu_memory_gb=16,
        ram_gb=32.5,
        cpu_cores=4,
        storage_gb=50,
        isolation="strict",
        capabilities={"asset_type": ["image"]},
        never={"limitations": ["slow"]},
    )
    assert json.loads(Job(id="1", asks=asks).asked()) == {
        "service": "comfyui",
        "models": ["a.safetensors"],
        "gpu_memory_gb": 16,
        "ram_gb": 32.5,
        "cpu_cores": 4,
        "storage_gb": 50,
        "customer_isolation": "strict",
        "capabilities": {"asset_type": ["image"]},
        "negative_requirements": {"limitations": ["slow"]},
    }


def test_a_requirement_of_another_spelling_goes_as_it_is() -> None:
    assert json.loads(Job(id="1", asks={"service_type": "x", "models": "all"}).asked()) == {
        "service_type": "x",
        "models": "all",
    }


def test_hardware_tells_only_what_it_knows() -> None:
    assert Hardware(ram_gb=64.0, cpu_cores=8).plain() == {"ram_gb": 64.0, "cpu_cores": 8}


def test_capabilities_are_a_json_object_or_nothing() -> None:
    assert capabilities_in("") == {}
    assert capabilities_in('{"asset_type": ["image"]}') == {"asset_type": ["image"]}


@pytest.mark.parametrize("text", ["[]", "1", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "\udcff"])
def test_capabilities_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(BadRecord):
        capabilities_in(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [1.0, float("-inf")]}, "\udcff", {"a": object()}])
def test_k10_what_json_cannot_say_is_refused_and_never_asks_for_less(value: object) -> None:
    with pytest.raises(BadRequest):
        asked({"gpu_memory_gb": value})
