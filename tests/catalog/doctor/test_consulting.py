"""The doctor by HTTP, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.catalog.conftest import RECORDS, Client, asking
from tests.catalog.doctor.test_doctoring import dirt
from tests.catalog.doctor.test_visiting import visiting
from tests.catalog.hub import hub


async def ended(client: Client) -> Any:
    async with asyncio.timeout(30):
        while (report := await client.data("/doctor"))["latest"]["state"] in ("running", "stopping"):
            await asyncio.sleep(0.02)
    return report


async def test_a_check_up_is_begun_by_a_writer_answered_at_once_and_outlives_the_server(address: Path | str) -> None:
    async with hub(sd_xl__safetensors=6_940_000_000) as (_, host):
        async with asking(address, dirt(host), visiting=lambda _: visiting(host)) as client:
            assert await client.data("/doctor") == {"latest": None, "shown": None, "findings": [], "findings_total": 0}
            empty = await client.tag("/doctor")
            assert (await client.ask("POST", "/doctor", token=None))[0] == 401
            status, begun = await client.ask("POST", "/doctor")
            assert (status, begun["data"]["state"], begun["data"]["who"]) == (202, "running", "ann")
            report = await ended(client)
            assert (report["shown"]["state"], report["findings_total"]) == (
                "done",
                sum(report["shown"]["kinds"].values()),
            )
            gone = await client.data("/doctor?kind=gone&limit=1")
            assert (gone["findings_total"], gone["findings"][0]["url"][:7]) == (5, "http://")
            tag = await client.tag("/doctor")
            assert tag != empty
            async with client.session.get("/doctor", headers={"If-None-Match": tag}) as answer:
                assert answer.status == 304
        async with asking(address) as client:
            assert await client.data("/doctor") == report
            assert await client.tag("/doctor") == tag


async def test_what_can_be_mended_is_written_only_when_it_is_asked_for(address: Path | str) -> None:
    async with (
        hub(sd_xl__safetensors=6_940_000_000) as (_, host),
        asking(address, dirt(host), visiting=lambda _: visiting(host)) as client,
    ):
        cursor = (await client.data("/changes"))["next"]
        for path, size in (("/doctor", "2.13GB"), ("/doctor?fix=true", 6_940_000_000)):
            assert (await client.data(f"/changes?since={cursor}"))["changes"] == []
            assert (await client.ask("POST", path))[0] == 202
            await ended(client)
            assert (await client.data("/models/name/sd_xl.safetensors"))["fileSize"] == size
        assert (await client.data(f"/changes?since={cursor}"))["changes"][0]["name"] == "sd_xl.safetensors"


async def test_who_only_reads_begins_none_and_who_visits_nobody_says_so(address: Path | str) -> None:
    async with asking(address, RECORDS) as client:
        assert (await client.ask("DELETE", "/doctor"))[0] == 404
        status, refused = await client.ask("POST", "/doctor")
        assert (status, "visit=false" in refused["error"]) == (409, True)
        assert (await client.ask("POST", "/doctor?visit=false"))[0] == 202
        assert (await ended(client))["shown"]["visit"] is False
        assert (await client.ask("DELETE", "/doctor"))[0] == 200
    async with asking(address, read_only=True) as client:
        assert [(await client.ask(method, "/doctor"))[0] for method in ("POST", "DELETE")] == [403, 403]
        assert (await client.data("/doctor"))["shown"]["number"] == 1


async def test_folders_are_held_against_the_workflows_that_come_along(address: Path | str) -> None:
    flow = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "t5xxl.safetensors"}}}
    async with asking(address, RECORDS) as client:
        path = "/doctor?visit=false"
        for wrong in ({"workflows": [{}]}, {"workflows": flow}, {"flows": []}, {"workflows": ["x"]}):
            assert (await client.ask("POST", path, wrong))[0] == 400
        assert (await client.ask("POST", path, {"workflows": [flow]}))[0] == 202
        (found,) = [each for each in (await ended(client))["findings"] if each["kind"] == "folder"]
        assert (found["name"], found["fix"]) == ("t5xxl.safetensors", "the place checkpoints/t5xxl.safetensors")
