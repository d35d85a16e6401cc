from __future__ import annotations

from pathlib import Path

from model_manager.catalog.limiting import CLIENTS, Buckets

from .conftest import RECORDS, asking

ORIGIN = "https://ui.example"


def test_a_minutes_worth_may_be_asked_at_once_and_then_evenly() -> None:
    now = 0.0
    buckets = Buckets(60, lambda: now)
    assert [buckets.take("a")[0] for _ in range(60)] == list(range(59, -1, -1))
    assert buckets.take("a") == (-1, 1.0)
    assert buckets.take("b")[0] == 59
    now = 1.0
    assert buckets.take("a") == (0, 0.0)


def test_k9_no_number_of_clients_takes_more_than_its_share_of_memory() -> None:
    buckets = Buckets(1, lambda: 0.0)
    for number in range(CLIENTS + 10):
        buckets.take(str(number))
    assert len(buckets._levels) == CLIENTS


async def test_who_asks_too_much_is_told_when_to_come_again_and_health_is_free(tmp_path: Path) -> None:
    async with asking(tmp_path / "c.sqlite", RECORDS, per_minute=2) as client:
        async with client.session.get("/models/t5") as first:
            assert (first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]) == ("2", "1")
        await client.get("/models/t5")
        async with client.session.get("/api/models/t5") as third:
            assert (third.status, int(third.headers["Retry-After"]) >= 1) == (429, True)
            assert set(await third.json()) == {"error"}
        assert (await client.get("/health"))[0] == 200


async def test_pages_of_a_named_origin_may_read_and_others_may_not(tmp_path: Path) -> None:
    async with asking(tmp_path / "c.sqlite", RECORDS, origins=(ORIGIN,)) as client:
        async with client.session.get("/models/t5", headers={"Origin": ORIGIN}) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
        asks = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
        async with client.session.options("/models/t5", headers=asks) as answer:
            assert (answer.status, "PUT" in answer.headers["Access-Control-Allow-Methods"]) == (204, True)
        for origin in ("https://evil.example", "null"):
            async with client.session.get("/models/t5", headers={"Origin": origin}) as answer:
                assert (answer.status, "Access-Control-Allow-Origin" in answer.headers) == (403, False)


async def test_k9_another_host_name_reads_nothing_until_it_is_named(tmp_path: Path) -> None:
    async with asking(tmp_path / "c.sqlite", RECORDS, names=("catalog.example",)) as client:
        assert (await client.get("/models", Host="catalog.example"))[0] == 200
        status, body = await client.get("/models", Host="evil.example")
        assert (status, "MODEL_MANAGER_CATALOG_NAMES" in body["error"]) == (403, True)
