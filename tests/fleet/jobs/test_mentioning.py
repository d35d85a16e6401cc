from __future__ import annotations

from typing import Any

import pytest

from model_manager.fleet.jobs.mentioning import called, mentions
from tests.fleet.conftest import Join
from tests.fleet.stage import Client, files

SHA = "ab" * 32
WORDS = called("diffusion_models/SD15/x.pt", [SHA])


@pytest.mark.parametrize(
    "model",
    [
        "x.pt", "SD15/x.pt", "diffusion_models/SD15/x.pt", "unet/SD15/x.pt", "models/unet/SD15/x.pt", SHA, f"sha256:{SHA}", SHA.upper(),
        f"autov2:{SHA[:10]}", SHA[:10], {"name": "SD15/x.pt", "folder": "unet"}, {"filename": "x.pt"}, {"path": "unet/SD15/x.pt"},
        {"name": "y", "sha256": SHA}, {"hash": SHA[:10]},
    ],
)  # fmt: skip
def test_a_model_is_known_by_whatever_a_job_calls_it(model: Any) -> None:
    assert mentions({"models": [model]}, WORDS)
    assert mentions({"models": model}, WORDS)


@pytest.mark.parametrize(
    "model",
    [
        "y.pt",
        "loras/SD15/x.pt",
        "5/x.pt",
        "pt",
        "",
        None,
        7,
        {},
        {"name": 7},
        {"name": "x.pt", "folder": "loras"},
        SHA[:9],
        ["x.pt"],
    ],
)
def test_another_model_is_not_meant(model: Any) -> None:
    assert not mentions({"models": [model]}, WORDS)
    assert not mentions({}, WORDS)


async def test_all_jobs_of_a_model_are_found_page_by_page(fleet: Client, join: Join) -> None:
    await join("m1").begin(*files("a.pt", "b.pt"))
    await fleet.until("/search", lambda body: body["total"] == 2)
    for n in range(12):
        await fleet.post("/jobs", {"id": f"job-{n}", "asks": {"models": ["loras/a.pt" if n % 4 else "b.pt"]}}, 202)
    found, path = [], "/jobs?state=pending&model=loras/b.pt&limit=2"
    page = await fleet.get(path)
    while True:
        found += [row["id"] for row in page["items"]]
        if page["next"] is None:
            break
        page = await fleet.get(f"{path}&cursor={page['next']}")
    assert sorted(found) == ["job-0", "job-4", "job-8"]
    assert [row["id"] for row in (await fleet.get("/jobs?model=loras/none.pt"))["items"]] == []
    await fleet.get("/jobs?state=pending&model=loras/b.pt&cursor=AAAA", 400)
