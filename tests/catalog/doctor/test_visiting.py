"""What addresses say to the doctor, and how little is asked of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
from pydantic import SecretStr

from model_manager.catalog.doctor.visiting import Visitor
from model_manager.sources.catalog_versions import CivitaiVersions
from model_manager.sources.civitai import CivitaiOrigin
from model_manager.sources.credentials import Credentials
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.huggingface import HuggingFaceOrigin
from model_manager.sources.searching import Asker
from model_manager.sources.transport.spacing import Spacing
from tests.catalog.hub import Hub, digest, hub
from tests.sources.serving import Authority, reaching, served


@asynccontextmanager
async def visiting(host: str) -> AsyncIterator[Visitor]:
    async with reaching(host) as net, aiohttp.ClientSession() as session:
        origins = (HuggingFaceOrigin(net, [host]), CivitaiOrigin(net, [host]), HttpsOrigin(net))
        asker = Asker(session, f"http://{host}", None, "CIVITAI_TOKEN", Spacing(1000))
        yield Visitor(origins, origins, CivitaiVersions(asker))


async def test_a_file_of_the_hub_tells_its_size_and_hash_for_one_byte() -> None:
    async with hub(a__pt=7_000_000_000) as (served_hub, host), visiting(host) as visitor:
        visit = await visitor.visit("a.pt", f"http://{host}/o/r/resolve/main/a.pt")
    assert (visit.outcome, visit.size, visit.sha256, visit.gated) == ("there", 7_000_000_000, digest("a.pt"), False)
    assert served_hub.sent == 1
    assert {method for method, _, _ in served_hub.asked} == {"GET"}


async def test_a_file_of_civitai_has_its_published_hash() -> None:
    made = Hub({"77": 5000})
    async with served(made.__call__) as host, visiting(host) as visitor:
        visit = await visitor.visit("lora.safetensors", f"http://{host}/api/download/models/77")
    assert (visit.outcome, visit.size, visit.sha256) == ("there", 5000, digest("77"))


@pytest.mark.parametrize(
    ("path", "outcome"),
    [("/o/r/resolve/main/gone.pt", "gone"), ("/x/blob/page.pt", "strange"), ("/o/r/resolve/main/g.pt", "closed")],
)
async def test_what_is_no_file_is_told_apart(path: str, outcome: str) -> None:
    async with hub(a__pt=1, g__pt=1) as (served_hub, host), visiting(host) as visitor:
        served_hub.gated = {"g.pt"}
        visit = await visitor.visit("a.pt", f"http://{host}{path}")
    assert (visit.outcome, bool(visit.why)) == (outcome, True)


async def test_k4_addresses_of_private_networks_are_never_asked() -> None:
    async with hub(a__pt=1) as (served_hub, host), visiting("192.0.2.1:80") as visitor:
        visit = await visitor.visit("a.pt", f"http://{host}/bytes/a.pt")
    assert (visit.outcome, served_hub.asked) == ("forbidden", [])


async def test_nobody_there_is_away_and_not_gone(unused_tcp_port: int) -> None:
    host = f"127.0.0.1:{unused_tcp_port}"
    async with visiting(host) as visitor:
        assert (await visitor.visit("a.pt", f"http://{host}/a.pt")).outcome == "away"


async def test_a_wish_for_quiet_is_heard_once() -> None:
    async with hub(a__pt=9) as (served_hub, host), visiting(host) as visitor:
        served_hub.quiet = 1
        assert (await visitor.visit("a.pt", f"http://{host}/o/r/resolve/main/a.pt")).outcome == "there"
        served_hub.quiet = 2
        assert (await visitor.visit("a.pt", f"http://{host}/o/r/resolve/main/a.pt")).outcome == "away"


async def test_what_needs_a_token_is_asked_with_it_only_after_it_was_asked_without(tmp_path: Path) -> None:
    ca = trustme.CA()
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    made = Hub({"g.pt": 4, "ended.pt": 4, "licence.pt": 4}, gated={"g.pt", "ended.pt", "licence.pt"})
    made.refused = {"ended.pt": 401, "licence.pt": 403}
    async with served(made.__call__, Authority(ca, str(file)).server("127.0.0.1")) as host:
        known = Credentials(tokens={"HF_TOKEN": SecretStr("hf_CANARY")}, hosts={"HF_TOKEN": frozenset({host})})
        async with (
            reaching(host, ca_file=str(file)) as nobody,
            reaching(host, credentials=known, ca_file=str(file)) as named,
        ):
            visitor = Visitor([HuggingFaceOrigin(nobody, [host])], [HuggingFaceOrigin(named, [host])])
            found = [await visitor.visit(name, f"https://{host}/o/r/resolve/main/{name}") for name in made.files]
    assert (found[0].outcome, found[0].gated, found[0].size) == ("there", True, 4)
    assert [(each.outcome, each.token, each.refused) for each in found[1:]] == [
        ("closed", "HF_TOKEN", True),
        ("closed", "HF_TOKEN", False),
    ]
    assert "CANARY" not in repr(found)
