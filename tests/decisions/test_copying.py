from __future__ import annotations

from dataclasses import replace

import pytest

from model_manager.decisions.copying import NAMED, source_of, stocked, telemetry
from model_manager.facts import wire
from model_manager.facts.event import (
    DiskLow,
    DownloadFailed,
    DownloadStarted,
    DownloadVerified,
    Envelope,
    Event,
    ModelAppeared,
    RootLost,
    Unknown,
)
from tests.decisions.making import held

BEGAN = DownloadStarted(
    folder="vae", name="a.pt", url="https://cdn.huggingface.co/x", total=3_000_000, resumed_at=0, attempt=2
)
DONE = DownloadVerified(
    folder="vae", name="a.pt", size=3_000_000, sha256="", evidence="pin", fetched=3_000_000, seconds=1.5
)
BROKEN = DownloadFailed(folder="vae", name="a.pt", reason="no route", attempt=3, final=False, retry_at="")


def told(event: Event) -> Envelope:
    return Envelope(
        machine_id="m1", instance="i", epoch=7, seq=3, at="1970-01-01T00:00:01.500Z", digest="0" * 32, event=event
    )


def test_a_download_is_told_as_the_tracker_reads_it() -> None:
    begun, done = telemetry(told(BEGAN), None), telemetry(told(DONE), BEGAN)
    assert (begun.timestamp, begun.eventType, begun.traceId) == (1500, "model.download.started", "m1_7_3")
    assert begun.data["status"] == "in_progress"
    assert done.data == {
        "modelName": "a.pt", "folder": "vae", "machineId": "m1", "timestamp": 1500, "status": "success",
        "downloadTime": 1500, "fileSize": 3.0, "retryCount": 1, "source": "huggingface",
    }  # fmt: skip


def test_what_will_be_tried_again_is_no_failure() -> None:
    again, final = telemetry(told(BROKEN), None), telemetry(told(replace(BROKEN, final=True)), BEGAN)
    assert (again.data["status"], again.level, again.data["source"]) == ("in_progress", "warn", "")
    assert (final.data["status"], final.level, final.data["retryCount"]) == ("failure", "error", 2)
    assert final.data["errorMessage"] == "no route"


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://huggingface.co/a/b", "huggingface"),
        ("https://civitai.com/api", "civitai"),
        ("https://raw.githubusercontent.com/a", "github"),
        ("https://huggingface.co.evil.test/a", "huggingface.co.evil.test"),
        ("https://Mirror.test:8443/a", "mirror.test"),
        ("", ""),
    ],
)
def test_a_source_is_named_by_its_whole_host(url: str, source: str) -> None:
    assert source_of(url) == source


def test_a_change_of_many_models_names_some_and_counts_all() -> None:
    models = tuple(wire.entry(held(f"vae/{n}.safetensors")) for n in range(NAMED + 10))
    data = telemetry(told(ModelAppeared(models=models)), None).data
    assert (data["count"], len(data["models"]), data["models"][0]) == (NAMED + 10, NAMED, "vae/0.safetensors")


def test_what_needs_somebody_says_so() -> None:
    assert telemetry(told(RootLost(root="/m", why="gone")), None).level == "error"
    assert telemetry(told(DiskLow(root="/m", free=1, floor=2)), None).level == "warn"


def test_an_unknown_kind_is_passed_as_it_is() -> None:
    assert telemetry(told(Unknown(kind="model.sung_to", data={"song": 1})), None).data == {"song": 1}


def test_an_inventory_is_counted_by_type_with_those_that_are_expected() -> None:
    stock = stocked([held("vae/a.safetensors"), held("loras/b.safetensors"), held("controlnet/c.safetensors")], 9)
    assert stock.by_type == {"checkpoints": 0, "loras": 1, "vaes": 1, "embeddings": 0, "controlnet": 1}
    assert (stock.total_count, stock.last_updated) == (3, 9)
