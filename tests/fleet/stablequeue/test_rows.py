from __future__ import annotations

from pathlib import Path

from model_manager.fleet.models.finding import Finding
from model_manager.fleet.registry import Registry
from model_manager.fleet.stablequeue.rows import fields, model, servers
from model_manager.fleet.store import Claimed, Store
from tests.fleet.made import Now, view

PLACE = "checkpoints/x.safetensors"


async def test_what_only_a_stranger_claims_is_a_row_that_nobody_proved(tmp_path: Path) -> None:
    seen, store = view(Now()), Store(tmp_path / "fleet.sqlite")
    seen.exact = True
    registry = Registry(seen, Finding(seen), store)
    await store.claim("forge", [Claimed(PLACE, 7, "")], [], whole=True)
    await store.tell(PLACE, "server", {"civitai_version_id": "7", "civitai_trained_words": ["a", "b"]})
    row = model(registry, PLACE)
    assert (row.type, row.size, row.verified, row.server_count, row.hash_autov2) == ("checkpoint", 7, 0, 1, None)
    assert (row.civitai_trained_words, row.metadata_status, row.metadata_source) == ("a, b", "partial", "none")
    assert [(each.server_id, each.state) for each in servers(registry, PLACE)] == [("forge", "claimed")]
    assert [(each.field, each.teller) for each in fields(registry, PLACE)] == [
        ("civitai_trained_words", "server"),
        ("civitai_version_id", "server"),
    ]
    await store.close()
