"""What a client may send at worst: every call is answered, and does a bounded part, counted in commands."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
import redis

from model_manager.bus.functions import version
from tests.bus import hostile
from tests.bus.hostile import Call, Population
from tests.bus.servers import Server

COMMANDS = 3_000
"""That one call may do; one is about a microsecond."""

FUNCTIONS = ["offer", "submit", "claim", "extend", "complete", "fail", "reap", "cancel", "retry", "job", "jobs", "explain",
             "machines_for", "take_in", "demand", "settle", "tune", "find_matching_job"]  # fmt: skip


@pytest.fixture
def population(shared: Server) -> Iterator[Population]:
    client = shared.client()
    client.flushall()
    yield Population(client, machines=20, queued=150, large_offers=8)
    client.close()


def asked(population: Population, call: Call) -> tuple[str, int]:
    """The word that was answered, and how many commands the server did."""
    client = population.client
    client.config_resetstat()
    try:
        reply = population.ask(*call)
    except redis.ResponseError as error:
        raise AssertionError((call[0], [each[:80] for each in call[2]], str(error))) from error
    done = client.info("commandstats")
    word = reply[0].decode() if isinstance(reply, list) else "none" if reply is None else "job"
    return word, sum(
        each["calls"] for name, each in done.items() if name not in ("cmdstat_fcall", "cmdstat_config|resetstat")
    )


def test_k10_the_worst_that_may_be_sent_is_answered_and_costs_a_bounded_number_of_commands(
    population: Population,
) -> None:
    costs: dict[str, int] = {}
    for call in hostile.worst(population.client, 0):
        word, commands = asked(population, call)
        assert word in (*hostile.WORDS, "none", "job"), call[0]
        costs[call[0]] = max(costs.get(call[0], 0), commands)
    assert len(costs) == len(FUNCTIONS)
    assert {name: number for name, number in costs.items() if number > COMMANDS} == {}


def test_k10_values_of_any_kind_in_any_place_are_answered(population: Population) -> None:
    chance, errors = random.Random(7), []
    for call in (each for name in FUNCTIONS for each in hostile.odd(f"mm_{name}", chance, 25)):
        if call[0] != "mm_find_matching_job":
            assert asked(population, call)[1] <= COMMANDS
            continue
        try:
            population.ask(*call)
        except redis.ResponseError as error:  # how the older fleet's workers hear of capabilities that cannot be read
            errors.append(str(error))
    assert [each for each in errors if "capabilities" not in each] == []
    population.settle()
    population.submit("after", {"service": "comfyui"})


def test_k10_an_offer_that_takes_long_to_compare_is_compared_in_parts(population: Population) -> None:
    """Once, large offers and a requirement with as many values kept the server busy for seconds in one call."""
    for n, offer in enumerate(hostile.offers(40)):
        population.ask("mm_offer", (), ("m1", f"more{n}", "60000", json.dumps({**offer, "more": n})))
        population.settle()
    fields = ("busy", "0", json.dumps(hostile.everything_there("busy")), "", "", "", "3", "wait")
    word, rounds = population.ask("mm_submit", (), ("1", *fields))[2], 0
    while population.ask("mm_settle", (), ("300",))[1] == b"1":
        rounds += 1
    assert (word, rounds > 3) == (b"QUEUED", True)


def test_k10_offers_that_declare_their_models_are_not_all_asked_for_each_job(population: Population) -> None:
    population.declare(150)
    wanted = json.dumps({"service": "comfyui", "models": "own-7.pt"})
    population.submit("first", {"service": "comfyui", "models": "own-7.pt"})
    population.settle()
    fields = ("second", "0", wanted, "", "", "", "3", "wait")
    told, commands = population.ask("mm_job", (), ("first",)), asked(population, ("mm_submit", (), ("1", *fields)))[1]
    assert (json.loads(told[1])["eligible"], commands < 50) == (1, True)


def test_k10_large_payloads_of_cancelled_jobs_are_freed_some_at_a_time(population: Population) -> None:
    client = population.client
    client.hset("routing", "keep_ms", 0)
    for n in range(40):
        fields = (f"large{n}", "0", "{}", "", "", "x" * 1_000_000, "3", "wait")
        population.ask("mm_submit", (), ("1", *fields))
        population.ask("mm_cancel", (), (f"large{n}",))
    left, rounds = client.zcard("routing:done"), 0
    while left:
        population.ask("mm_reap", (), ("50",))
        before, left, rounds = left, client.zcard("routing:done"), rounds + 1
        assert 0 < before - left < 20
    assert (rounds > 2, client.exists(*(f"routing:body:large{n}" for n in range(40)))) == (True, 0)


def test_k10_the_machines_of_many_offers_are_put_together_once_until_a_seat_changes(population: Population) -> None:
    def eligible() -> tuple[int, int]:
        told, commands = population.ask("mm_job", (), ("first",)), asked(population, ("mm_job", (), ("first",)))[1]
        return json.loads(told[1])["eligible"], commands

    def offer(seat: str, text: str) -> None:
        population.ask("mm_offer", (hostile.KEYS.lease("m0"),), ("m0", seat, "3600000", text))
        population.settle()

    population.declare(150)
    population.submit("first", {"service": "comfyui", "models": "shared.pt"})
    population.settle()
    number, commands = eligible()
    assert (number, commands < 30) == (20, True)
    for n in range(0, 150, 20):
        offer(f"d{n}", "")
    assert eligible()[0] == 19
    offer("again", json.dumps({"services": ["comfyui"], "models": {"comfyui": ["shared.pt"]}}))
    assert eligible()[0] == 20


def test_k10_a_signature_goes_to_all_of_hundreds_of_offers_that_meet_its_demand(population: Population) -> None:
    for n in range(300):
        name = f"m{n % 20}"
        offer = json.dumps({"services": ["other"], "n": n})
        population.ask("mm_offer", (hostile.KEYS.lease(name),), (name, f"o{n}", "3600000", offer))
    population.submit("one", {"service": "other"})
    population.settle()
    population.submit("two", {"service": "other", "models": "a.pt"})
    population.settle()
    client = population.client
    sid = int(client.hget("routing:job:two", "s") or -1)
    texts = client.hgetall("routing:profile")
    others = [int(number) for number, text in texts.items() if '"other"' in str(text)]
    assert [client.getbit(f"routing:fit:{number}", sid) for number in others] == [1] * 300


MEMORY = 96 * 1024 * 1024
"""Of the interpreter of all functions, a few of whose calls make megabytes of garbage."""


def test_k10_garbage_that_calls_leave_is_collected_though_none_collects_all_of_it(population: Population) -> None:
    large = "x" * 1_000_000
    for round_ in range(3):
        for call in hostile.submits(round_):
            population.ask(*call)
        for n in range(60):
            population.ask("mm_submit", (), ("1", f"large{n}", "0", "{}", "", "", large, "3", "wait"))
            population.ask("mm_cancel", (), (f"large{n}",))
    assert population.client.info("memory")["used_memory_vm_functions"] < MEMORY


def test_k10_what_many_small_calls_leave_is_collected_while_they_go_on(own: Server) -> None:
    """Once, collecting rested as soon as it had freed a little, and 10,000 jobs left 45 MB, a million 300."""
    population = Population(own.client(), machines=20, queued=150, large_offers=8)
    asked = json.dumps({"service": "comfyui"})
    for page in range(300):
        fields = [(f"s{page}-{n}", "0", asked, "", "", "", "3", "wait") for n in range(30)]
        population.ask("mm_submit", (), ("30", *(each for job in fields for each in job)))
    assert population.client.info("memory")["used_memory_vm_functions"] < 20 * 1024 * 1024


OTHERS = """#!lua name=others
redis.register_function('others', function(_, arguments)
  local made = {}
  for n = 1, 300 do made[n] = {n .. arguments[1], n} end
  return #made
end)
"""
"""Some 45 KB of garbage a call."""


@pytest.mark.parametrize("ours", [1, 300, 3_000], ids=["once", "ten times", "a hundred times"])
def test_k10_what_other_libraries_leave_in_the_same_interpreter_is_collected(own: Server, ours: int) -> None:
    """Once, ours alone said when, and 30,000 calls of others left a gigabyte."""
    population = Population(own.client(), machines=2, queued=10, large_offers=1)
    population.client.function_load(OTHERS)
    for page in range(30):
        pipe = population.client.pipeline(transaction=False)
        for n in range(100):
            pipe.fcall("others", 0, f"{page} {n}")
            if (page * 100 + n) % (3_000 // ours) == 0:
                pipe.fcall(f"mm_jobs_{version()}", 1, "routing", "pending", "0", "1")
        pipe.execute()
    assert population.client.info("memory")["used_memory_vm_functions"] < 50 * 1024 * 1024


def test_k10_errands_of_more_signatures_than_are_listed_at_once_are_all_told(population: Population) -> None:
    for n in range(300):
        fields = (
            f"f{n}",
            "0",
            json.dumps({"service": "comfyui", "models": [f"lacks-{n}.pt"]}),
            "",
            "",
            "",
            "3",
            "fetch",
        )
        while population.ask("mm_submit", (), ("1", *fields))[2] == b"AGAIN":
            population.settle()
    population.settle()
    assert population.client.hlen("routing:fetch") >= 300
    told: set[str] = set()
    for _ in range(2_000):
        reply = population.ask("mm_demand", (hostile.KEYS.lease("m0"),), ("m0", "60000", "20"))
        told |= {name for text in reply[2::2] for name in json.loads(text)["models"]}
        if len(told & {f"lacks-{n}.pt" for n in range(300)}) == 300:
            return
    raise AssertionError(len(told))
