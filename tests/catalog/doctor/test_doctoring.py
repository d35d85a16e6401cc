"""The doctor over a catalog of real dirt, on both databases, and what it mends."""

from __future__ import annotations

from typing import Any

import pytest

from model_manager.catalog import docs
from model_manager.catalog.doctor.doctoring import Doctor
from model_manager.catalog.incoming.bulk import load
from model_manager.catalog.incoming.loading import as_written
from model_manager.catalog.records import CatalogModel
from model_manager.catalog.storage import store as module
from model_manager.catalog.storage.store import Store
from model_manager.facts import wire
from tests.catalog.doctor.test_visiting import visiting
from tests.catalog.hub import digest, hub


def dirt(host: str) -> dict[str, Any]:
    """As the real records are: all marked, none with a hash, sizes as text."""

    def one(name: str, file: str, folder: str, size: str | None = None, **more: Any) -> dict[str, Any]:
        url = f"http://{host}/o/r/resolve/main/{file}"
        return {"name": name, "downloadUrl": url, "saveTo": f"models/{folder}/{name}", "fileSize": size, "isAuthReq": True,
                "authEnvVar": "HF_TOKEN", **more}  # fmt: skip

    return {
        "models": [
            one("sd_xl.safetensors", "sd_xl.safetensors", "checkpoints", "2.13GB"),
            one("4x_Siax.pth", "kontext.safetensors", "upscale_models", "11.9GB"),
            one("kontext.safetensors", "kontext.safetensors", "checkpoints", "11.9GB"),
            one("JuggernautXL.safetensors", "JuggernautXL.safetensors", "checkpoints"),
            one("juggernautXL.safetensors", "juggernautXL.safetensors", "checkpoints"),
            one("lost.gguf", "lost.gguf", "unet"),
        ],
        "workflows": [{"name": "w", "models": ["SD_XL.safetensors"]}],
    }


async def examined(store: Store, host: str) -> dict[str, set[str]]:
    async with visiting(host) as visitor:
        doctor = Doctor(store, visitor, set(), {"kontext.safetensors": {"diffusion_models"}})
        return {each.stored.name: {ailment.kind for ailment in each.ailments} async for each in doctor.examine()}


async def test_every_defect_is_told_and_what_can_be_mended_is_mended_once(store: Store) -> None:
    files = {"sd_xl__safetensors": 6_940_000_000, "kontext__safetensors": 11_900_000_000, "JuggernautXL__safetensors": 5,
             "juggernautXL__safetensors": 5}  # fmt: skip
    async with hub(**files) as (_, host):
        await load(store, as_written(dirt(host)), "test")
        assert await examined(store, host) == {
            "sd_xl.safetensors": {"size", "hash", "no token"},
            "4x_Siax.pth": {"same address", "other file", "no token"},
            "kontext.safetensors": {"same address", "folder", "hash", "no token"},
            "JuggernautXL.safetensors": {"case", "size", "hash", "no token"},
            "juggernautXL.safetensors": {"case", "size", "hash", "no token"},
            "lost.gguf": {"gone"},
            "w": {"case"},
        }
        async with visiting(host) as visitor:
            doctor = Doctor(store, visitor, set(), {"kontext.safetensors": {"diffusion_models"}})
            found = [each async for each in doctor.examine()]
            assert [await doctor.mend(each) for each in found if each.mended] == [""] * 5
            assert "Read it" in await doctor.mend(found[0]), "somebody was faster"
        model = await _model(store, "sd_xl.safetensors")
        assert (model.size, model.hash, model.auth_required) == (
            6_940_000_000,
            f"sha256:{digest('sd_xl.safetensors')}",
            False,
        )
        assert (await _model(store, "kontext.safetensors")).save_to == "diffusion_models/kontext.safetensors"
        again = await examined(store, host)
        assert {name for name, kinds in again.items() if kinds & {"size", "hash", "folder", "no token"}} == set()
        (change, *_) = await store.history("model", "sd_xl.safetensors", 2**31, 1)
        assert (change.who, "the size 6940000000" in change.note) == ("doctor", True)


async def test_without_a_visitor_nobody_is_asked(store: Store) -> None:
    async with hub() as (served_hub, host):
        await load(store, as_written(dirt(host)), "test")
        found = [each async for each in Doctor(store, None, set(), {}).examine()]
    assert served_hub.asked == []
    assert {each.stored.name for each in found} == {
        "4x_Siax.pth", "kontext.safetensors", "JuggernautXL.safetensors", "juggernautXL.safetensors", "w",
    }  # fmt: skip


async def test_names_that_clash_in_case_are_found_in_many_pages_and_workflows_told_of_the_name_that_is_here(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WALK", 3)
    url = "https://h.example/{}.pt"
    names = [f"{letter}{n}.pt" for n in range(4) for letter in "aAb"] + ["ÄÖ.pt", "äö.pt", "Only.pt"]
    models = [{"name": each, "downloadUrl": url.format(at), "saveTo": "vae"} for at, each in enumerate(names)]
    flows = [{"name": f"w{n}", "models": [f"B{n}.pt", "only.pt", "a0.pt", "nowhere.pt"]} for n in range(4)]
    await load(store, as_written({"models": models, "workflows": flows}), "test")
    found = [each async for each in Doctor(store, None, set(), {}).examine()]
    cased = {each.stored.name for each in found if any(ailment.kind == "case" for ailment in each.ailments)}
    assert cased == {name for name in names if name[0] not in "bO"} | {f"w{n}" for n in range(4)}
    whats = [ailment.what for each in found if each.stored.name == "w2" for ailment in each.ailments]
    assert whats == [
        "it needs 'B2.pt', which is here only as 'b2.pt'",
        "it needs 'only.pt', which is here only as 'Only.pt'",
    ]
    assert {each.kind for each in found} == {"model", "workflow"}


async def _model(store: Store, name: str) -> CatalogModel:
    return docs.model_of(wire.loads((await store.by_name("model", [name]))[name].doc))
