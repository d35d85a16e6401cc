"""A bad link: reset, silent, slow, without names. Real ones where the kernel lets us break one (a network of its own)."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.stories.bringing import TAIL, Bringing, Wish
from tests.stories.machine import Machine, safetensors
from tests.stories.network import Network
from tests.stories.origin import FaultyOrigin, Reply, Request, Thing, faulty_origin

SILENCE = 60.0
"""Seconds within which a connection that says nothing, or next to nothing, must have been given up."""

BUFFERS = 400_000
"""Bytes that a broken connection may hold: 128 KiB in each kernel buffer, 128 KiB in the origin."""


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


@pytest.fixture
async def origins(network: Network) -> AsyncIterator[list[FaultyOrigin]]:
    """Four origins in the network, each at its own port."""
    async with AsyncExitStack() as stack:
        with network.inside():
            yield [await stack.enter_async_context(faulty_origin()) for _ in range(4)]


async def bring_in(network: Network, bringing: Bringing, origins: list[FaultyOrigin], wishes: list[Wish], **environ: str) -> Machine:  # fmt: skip
    """The machine and its catalog are in the network; each wish has its own origin there."""
    allowed = ",".join(origin.host for origin in origins)
    for wish, origin in zip(wishes, origins, strict=False):
        wish.url = wish.url or origin.put(wish.path, wish.served, wish.behaviour, wish.etag)
    with network.inside():
        return await bringing.bring(*wishes, MODEL_MANAGER_ALLOW_HOSTS=allowed, **environ)


def wishes_of(size: int, names: str) -> list[Wish]:
    made = {name: safetensors(size, 60 + n) for n, name in enumerate(names)}
    return [Wish(name=name, served=data, right=data) for name, data in made.items()]


@pytest.mark.needs("netns", "iptables")
async def test_a1_twenty_resets_at_random_bytes_cost_nothing_twice(
    network: Network, origins: list[FaultyOrigin], bringing: Bringing
) -> None:
    wishes = wishes_of(6_000_000, "abcd")
    seed = time.time_ns()
    rng = random.Random(seed)
    for origin in origins:
        network.reset_after(int(origin.host.split(":")[1]), rng.randint(850_000, 1_150_000))
    await bring_in(network, bringing, origins, wishes, MODEL_DOWNLOAD_CONCURRENCY="4")
    await bringing.brought(at_most=60)
    resets, again = 0, 0
    for wish, origin in zip(wishes, origins, strict=True):
        starts = bringing.starts(wish.name, origin)
        assert starts == sorted(starts), (seed, starts)
        resets += len(starts) - 1
        again += origin.sent[wish.path] - len(wish.served)
    print(f"\nA1: {resets} resets (seed {seed}); {again} of {4 * 6_000_000} bytes were sent again")
    assert resets >= 16, seed
    assert again <= resets * BUFFERS, seed


@pytest.mark.needs("netns", "iptables")
async def test_a2_a5_silence_and_a_trickle_are_given_up_while_others_go_on(
    network: Network, origins: list[FaultyOrigin], bringing: Bringing
) -> None:
    """`a`: nothing arrives any more after 3 MB. `b`: a byte each 100 ms. `c`: honest, with the one slot that is left, as `d`."""
    calm = False

    async def trickle(request: Request, thing: Thing, reply: Reply) -> None:
        if calm:
            await reply.honest(request, thing)
        else:
            await reply.honest(request, Thing(thing.data, thing.etag), limit=len(thing.data) - 1, pause=0.1, piece=1)

    wishes = wishes_of(6_000_000, "abcd")
    wishes[1].behaviour = trickle
    network.silence_after(int(origins[0].host.split(":")[1]), 3_000_000)
    machine = await bring_in(network, bringing, origins, wishes, MODEL_DOWNLOAD_CONCURRENCY="3")
    await machine.until(lambda: {wishes[2].file, wishes[3].file} <= set(machine.files()), "the others are here")
    began = time.monotonic()
    assert not bringing.reasons("a")
    assert not bringing.reasons("b")
    await machine.until(lambda: bool(bringing.reasons("a") and bringing.reasons("b")), "both given up", SILENCE)
    calm = True
    network.calm()
    assert "it fell silent" in bringing.reasons("a")[0]
    assert "is below MODEL_MANAGER_MIN_SPEED" in bringing.reasons("b")[0]
    print(f"\nA2, A5: given up {time.monotonic() - began:.0f} s after the others were here")
    await bringing.brought()
    assert bringing.starts("a", origins[0])[1] > 0
    assert origins[0].sent["/a.safetensors"] <= 6_000_000 + TAIL


@pytest.mark.needs("netns", "iptables")
@pytest.mark.parametrize("size", [1_500_000, pytest.param(25_000_000, marks=pytest.mark.slow)])
async def test_a4_a_slow_link_is_not_a_stall(
    network: Network, origins: list[FaultyOrigin], bringing: Bringing, size: int
) -> None:
    """Three downloads on 8 Mbit take longer (4.5 s, 75 s) than any limit for silence (3 s), and none is started again."""
    network.slow_down("8mbit")
    wishes = wishes_of(size, "abc")
    began = time.monotonic()
    await bring_in(network, bringing, origins, wishes, MODEL_DOWNLOAD_TIMEOUT_MINUTES="0.05")
    await bringing.brought(at_most=30 + 3 * size / 500_000)
    took = time.monotonic() - began
    print(f"\nA4: {3 * size} bytes in {took:.1f} s")
    assert took > 3 * size / 1_000_000
    assert [origin.asked[wish.path] for wish, origin in zip(wishes, origins, strict=False)] == [1, 1, 1]


@pytest.mark.needs("netns", "iptables")
async def test_a6_names_that_do_not_resolve_are_a_reason_and_hold_nobody_up(
    network: Network, origins: list[FaultyOrigin], bringing: Bringing
) -> None:
    """The resolver is not there: questions to it leave, and nothing comes back."""
    network.iptables("-A", "INPUT", "-p", "udp", "--dport", "53", "-j", "DROP")
    network.run("ip", "route", "add", "default", "dev", "lo")
    lost, *others = wishes_of(400_000, "abc")
    lost.url = "http://models.example.invalid/a.safetensors"
    machine = await bring_in(network, bringing, origins, [lost, *others], RES_OPTIONS="timeout:1 attempts:2")
    await machine.until(lambda: {wish.file for wish in others} <= set(machine.files()), "the others are here")
    slowest = 0.0
    while not bringing.reasons("a"):
        began = time.monotonic()
        machine.status()
        slowest = max(slowest, time.monotonic() - began)
        assert time.monotonic() - began < 20
    assert "its name does not resolve" in bringing.reasons("a")[0] or "in time" in bringing.reasons("a")[0]
    print(f"\nA6: the slowest of the answers meanwhile took {slowest * 1000:.0f} ms")
    bringing.holds()
    assert not machine.ready()
