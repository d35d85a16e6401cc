"""TLS with an authority of one's own, to one server, to Sentinels and to a Cluster; each wants to see our certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.following import Follower
from model_manager.bus.keys import Keys
from model_manager.bus.leases import Leases
from model_manager.bus.publishing import Bus, Delivered
from model_manager.errors import BadSetting, BusUnavailable
from model_manager.facts.event import Envelope
from model_manager.facts.identity import MachineId
from model_manager.facts.trust import Trust
from tests.bus.fleets import free_ports, until
from tests.bus.secure import Certificates, Secure, cluster, sentinel
from tests.bus.telling import Teller, entry

pytestmark = pytest.mark.needs("redis-server")
POOL = "{pool}:"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.made(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def running() -> Iterator[Callable[[Secure], Secure]]:
    with ExitStack() as stack:

        def keep(node: Secure) -> Secure:
            stack.callback(node.close)
            return node

        yield keep


@pytest.fixture
def single(certificates: Certificates, running: Callable[[Secure], Secure]) -> Secure:
    return running(Secure(certificates, free_ports(1)[0]))


async def told_and_heard(redis: Redis, prefix: str = "") -> None:
    """Everything that a machine and a reader do: functions, transactions, blocking reads."""
    teller, keys = Teller("m1"), Keys(prefix)
    bus = Bus(redis, MachineId.parse("m1"), "here", prefix, 1_000, 60.0)
    await bus.beat(teller.beat(), {})
    teller.hello()
    teller.appear(entry("a.pt"))
    answer = await bus.snapshot(teller.snapshot(), teller.entries, teller.outbox[:-1])
    assert isinstance(answer, Delivered)
    reader = Follower(redis, keys, "0")
    kinds: list[str] = []
    async for _, each in reader:
        if isinstance(each, Envelope):
            kinds.append(each.kind)
        if len(kinds) == 3:
            break
    assert kinds == ["machine.hello", "model.appeared", "inventory.snapshot"]
    assert (await Leases(redis, keys).look()).leases["m1"].alive


async def test_one_server(single: Secure, certificates: Certificates) -> None:
    redis = connect(f"rediss://127.0.0.1:{single.port}/0", trust=certificates.trust)
    await told_and_heard(redis)
    await redis.aclose()


async def test_the_address_may_name_the_files_itself(single: Secure, certificates: Certificates) -> None:
    trust = certificates.trust
    query = f"ssl_ca_certs={trust.ca_file}&ssl_certfile={trust.cert_file}&ssl_keyfile={trust.key_file}"
    redis = connect(f"rediss://127.0.0.1:{single.port}/0?{query}")
    assert await redis.ping()
    await redis.aclose()


async def test_a_primary_that_sentinels_name_and_the_one_after_a_failover(
    certificates: Certificates, running: Callable[[Secure], Secure]
) -> None:
    nodes, url = sentinel(certificates)
    watcher, primary, replica = map(running, nodes)
    redis = connect(url, trust=certificates.trust)
    await told_and_heard(redis)
    primary.client().wait(1, 20_000)
    primary.kill()
    until(lambda: replica.client().info("replication")["role"] == "master", watcher.words)
    for _ in range(200):
        try:
            assert (await Leases(redis, Keys()).look()).leases.keys() == {"m1"}
            break
        except BusUnavailable:
            continue
    else:
        raise AssertionError("nobody names the new primary")
    await redis.aclose()


async def test_the_node_of_a_cluster_that_has_the_pool(
    certificates: Certificates, running: Callable[[Secure], Secure]
) -> None:
    nodes, url = cluster(certificates)
    for each in nodes:
        running(each)
    redis = connect(url, prefix=POOL, trust=certificates.trust)
    await told_and_heard(redis, POOL)
    await redis.aclose()


@pytest.mark.parametrize(
    ("less", "why"),
    [({"ca_file": None}, "(?i)certificate verify failed"), ({"cert_file": None, "key_file": None}, ".")],
)
async def test_k9_who_is_not_believed_or_does_not_believe_hears_nothing(
    single: Secure, certificates: Certificates, less: dict[str, None], why: str
) -> None:
    redis = connect(f"rediss://127.0.0.1:{single.port}/0", trust=replace(certificates.trust, **less))
    with pytest.raises(BusUnavailable, match=why):
        await Leases(redis, Keys()).look()
    await redis.aclose()


async def test_k9_a_server_under_another_name_is_not_believed(
    certificates: Certificates, running: Callable[[Secure], Secure], single: Secure
) -> None:
    redis = connect(f"rediss://localhost:{single.port}/0", trust=certificates.trust)
    with pytest.raises(BusUnavailable, match=r"(?i)hostname mismatch|verify failed"):
        await Leases(redis, Keys()).look()
    await redis.aclose()


@pytest.mark.parametrize("field", ["ca_file", "cert_file", "key_file"])
def test_files_that_cannot_be_used_are_said_at_the_start(
    certificates: Certificates, tmp_path: Path, field: str
) -> None:
    for content in (None, b"no certificate"):
        file = tmp_path / "file.pem"
        if content:
            file.write_bytes(content)
        with pytest.raises(BadSetting, match="MODEL_MANAGER_REDIS_KEY_FILE"):
            connect("rediss://127.0.0.1:1/0", trust=replace(certificates.trust, **{field: str(file)}))


def test_without_tls_nobody_looks_at_them() -> None:
    connect("redis://127.0.0.1:1/0", trust=Trust(ca_file="/nowhere"))
