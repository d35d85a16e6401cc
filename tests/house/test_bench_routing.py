"""The benchmark of routing: its world, its two earlier shapes of matching, and what it counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest
import redis

from tests.bench.claiming.measuring import Claim, cost
from tests.bench.claiming.ours import Ours
from tests.bench.claiming.shapes import Shape
from tests.bench.claiming.world import Machine, World, world
from tests.bus.servers import Server

SIGNATURES, MACHINES, JOBS = 40, 6, 200


@pytest.fixture(scope="module")
def fleet() -> World:
    return world(SIGNATURES, MACHINES)


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    server = Server("valkey")
    yield server.client()
    server.close()


def test_the_world_is_the_same_for_everybody_and_its_extremes_are_what_they_say(fleet: World) -> None:
    again = world(SIGNATURES, MACHINES)
    assert (fleet.signatures, fleet.machines, list(fleet.jobs(50))) == (
        again.signatures,
        again.machines,
        list(again.jobs(50)),
    )
    assert all(signature.fits(fleet.able) for signature in fleet.signatures)
    assert not any(signature.fits(fleet.unable) for signature in fleet.signatures)
    shares = [sum(signature.fits(machine) for signature in fleet.signatures) / SIGNATURES for machine in fleet.machines]
    assert all(0 < share < 1 for share in shares)


@pytest.mark.parametrize("kind", ["ours", "scan", "sketch"])
def test_every_contender_hands_out_only_what_the_machine_can_do_and_misses_nothing(
    kind: Literal["ours", "scan", "sketch"], fleet: World, client: redis.Redis
) -> None:
    jobs = {job.id: job for job in fleet.jobs(JOBS)}
    contender = Ours(client, fleet) if kind == "ours" else Shape(client, fleet, kind)
    if isinstance(contender, Shape):
        contender.window = JOBS
    contender.introduce([*fleet.machines, fleet.unable])
    contender.submit(jobs.values())
    for machine in (*fleet.machines, fleet.unable):
        fitting = {each.id for each in jobs.values() if fleet.signatures[each.signature].fits(machine)}
        got = set()
        while (job := contender.claimed(client.execute_command(*contender.command(machine)))) is not None:
            got.add(job)
            del jobs[job]
        assert got == fitting


class Scripted:
    """Claims that a list decides."""

    def __init__(self, *answers: str | None) -> None:
        self.answers, self.settled = list(answers), 0

    def command(self, machine: Machine) -> Sequence[Any]:
        return ("FCALL", "answer", 0)

    def claimed(self, reply: Any) -> str | None:
        return self.answers.pop(0)

    def settle(self, claims: Sequence[Claim]) -> None:
        self.settled += len(claims)


def test_a_cost_counts_calls_and_the_claims_among_them(fleet: World, client: redis.Redis) -> None:
    client.function_load("#!lua name=answering\nredis.register_function('answer', function() return 1 end)")
    script = Scripted(*["j", None] * 200)
    measured = cost(client, script, fleet.machines, calls=150, seconds=60)
    assert (measured.share, script.settled) == (0.5, 200)
    assert measured.claims == pytest.approx(measured.calls / 2)
    assert 0 < measured.p50 <= measured.p99
    assert measured.server > 0
