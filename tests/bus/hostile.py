"""The worst that a client may send to each function of routing: as large, as many and as deep as the limits allow, and odder than that.

A call is (function, keys, arguments). A population is what such calls meet: machines with inventories, offers as large as they may
be, queues, leases, dead letters.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

import redis

from model_manager.bus.functions import library, version
from model_manager.bus.keys import Keys

KEYS: Final = Keys()
ROOT: Final = KEYS.routing
WORDS: Final = ("OK", "BAD", "GONE", "AGAIN", "MORE", "UNKNOWN", "AWAY", "STALE", "JOB", "EMPTY", "DONE", "REPEAT", "CANCELLED", "OVER",
                "PENDING", "DELAYED", "DEAD")  # fmt: skip
"""What may be answered; anything else is an error."""

Call = tuple[str, tuple[str, ...], tuple[str | bytes, ...]]


def longest(tag: str, length: int = 110) -> str:
    """A model's name with seven directories."""
    return f"a/b/c/d/e/f/{tag}/".ljust(length - 3, "x") + ".pt"


def many_models(tag: str, number: int = 64) -> dict[str, Any]:
    return {"models": [longest(f"{tag}{n}", 100) for n in range(number)]}


def many_tokens(tag: str) -> dict[str, Any]:
    """Two tokens a model, and as many that must not be there."""
    chance = random.Random(tag)
    models = [{"name": f"{tag}{n}", "sha256": f"{chance.getrandbits(256):064x}"} for n in range(16)]
    return {"models": models, "negative_requirements": {"models": [f"{tag}-{n}" for n in range(32)]}}


def many_capabilities(tag: str) -> dict[str, Any]:
    return {"x": [f"{tag}{n}".ljust(28, "y") for n in range(240)]}


def by_name(tag: str) -> dict[str, Any]:
    return {f"key{n}": f"{tag}{n}" for n in range(240)}


def everything_there(tag: str) -> dict[str, Any]:
    """What each of the large offers has."""
    return {"x": [f"v{n}" for n in range(240)], "tag": tag}


def common_models(tag: str) -> dict[str, Any]:
    return {"models": [f"common-{n:03d}.pt" for n in range(50)] + [f"{tag}-{n}" for n in range(14)]}


REQUIREMENTS: Final = (many_models, many_tokens, many_capabilities, by_name, everything_there, common_models)

ODD: Final[tuple[str | bytes, ...]] = (
    "", "x", "-1", "0", "1", "1e9", "nan", "inf", "9" * 400, b"\x00\xff\xfe", "{}", "[]", "null", "{", '{"models":7}', '{"models":{}}',
    '{"models":[null]}', '{"gpu_memory_gb":1e308}', '{"gpu_memory_gb":-1e308}', '{"storage_gb":"nan"}', '{"a":' * 1000 + "1" + "}" * 1000,
    '{"models":' + "[" * 900 + "]" * 900 + "}", json.dumps({"x" * 2000: 1}), json.dumps({"models": ["x" * 5000]}), "x" * 2_000_000,
    json.dumps({"a": "\u0000\ud7ff" * 200}), '{"models":["a\\u0000b"]}', '{"x":1e-400}', '{"x":0x10}', '{"models":["a.pt"],"models":["b.pt"]}',
)  # fmt: skip


def offers(number: int) -> Iterator[dict[str, Any]]:
    """Large ones of each kind, no two alike."""
    for n in range(number):
        kind = n % 4
        if kind == 0:
            yield {
                "services": ["comfyui"],
                "models": {"comfyui": [f"declared-{n}-{each}.safetensors" for each in range(420)]},
            }
        elif kind == 1:
            yield {"services": ["comfyui"], "x": [f"v{each}" for each in range(590)], "n": n}
        elif kind == 2:
            yield {
                "services": ["comfyui"],
                "tag": f"t{n}",
                **{f"key{each}": f"of{n}{each}".ljust(14, "z") for each in range(580)},
            }
        else:
            yield {"services": ["comfyui"], "hardware": {"gpu_memory_gb": n % 80}, "n": n}


def declaring(number: int) -> Iterator[dict[str, Any]]:
    """Small ones with the models that they declare, as workers without an agent make them, no two alike."""
    for n in range(number):
        yield {"services": ["comfyui"], "models": {"comfyui": ["shared.pt", f"own-{n}.pt"]}}


class Population:
    """Made through the functions themselves, by calls that are no larger than clients make them."""

    def __init__(self, client: redis.Redis, *, machines: int, queued: int, large_offers: int) -> None:
        self.client = client
        self._names = [f"m{n}" for n in range(machines)]
        client.function_load(library(), replace=True)
        pipe = client.pipeline(transaction=False)
        for name in self._names:
            pipe.hset(KEYS.lease(name), "machine_id", name)
            pipe.hset(KEYS.models(name), mapping={"epoch": 1, "seq": 1})
        pipe.execute()
        for n, offer in enumerate(offers(large_offers)):
            self.ask(
                "mm_offer",
                (KEYS.lease(self._names[n % machines]),),
                (self._names[n % machines], f"s{n}", "3600000", json.dumps(offer)),
            )
            self.settle()
        for name in self._names:
            self.ask("mm_offer", (KEYS.lease(name),), (name, "", "3600000", '{"services":["comfyui"]}'))
        self.settle()
        self.queue(queued)

    def declare(self, number: int) -> None:
        for n, offer in enumerate(declaring(number)):
            name = self._names[n % len(self._names)]
            self.ask("mm_offer", (KEYS.lease(name),), (name, f"d{n}", "3600000", json.dumps(offer)))
            self.settle()

    def queue(self, number: int) -> None:
        """Jobs of few and of many requirements."""
        for n in range(number):
            asks = (
                REQUIREMENTS[n % 6](f"q{n % 60}")
                if n % 10 == 0
                else {"service": "comfyui", "models": [f"common-{n % 300:03d}.pt"]}
            )
            self.submit(f"q{n}", asks)

    def submit(self, job: str, asks: dict[str, Any]) -> None:
        fields = (job, "0", json.dumps(asks), "", "", "p" * 50, "3", "wait")
        while self.ask("mm_submit", (), ("1", *fields))[2] == b"AGAIN":
            self.settle()

    def settle(self) -> None:
        while self.ask("mm_settle", (), ("200",))[1] == b"1":
            continue

    def ask(self, name: str, keys: Sequence[str], arguments: Sequence[str | bytes]) -> list[Any]:
        reply: list[Any] = self.client.execute_command(
            "FCALL", f"{name}_{version()}", 1 + len(keys), ROOT, *keys, *arguments
        )
        return reply


def submits(round_: int) -> Iterator[Call]:
    for n, kind in enumerate(REQUIREMENTS):
        tag = f"r{round_}k{n}"
        jobs = [(f"{tag}-{each}", "0", json.dumps(kind(f"{tag}{each}")), f"c{each}", f"w{each}", "x" * 100, "3",
                 ("wait", "reject", "fetch")[each % 3]) for each in range(50)]  # fmt: skip
        yield "mm_submit", (), ("50", *(part for job in jobs for part in job))
        same = json.dumps(kind(f"{tag}same"))
        yield "mm_submit", (), ("50", *(part for job in jobs for part in (job[0] + "s", "0", same, *job[3:])))
        yield "mm_submit", (), ("1", f"{tag}-one", "0", same + " ", "", "", "", "3", "reject")
    large = "x" * 1_000_000
    yield (
        "mm_submit",
        (),
        ("3", *(part for n in range(3) for part in (f"r{round_}large{n}", "0", "{}", "", "", large, "3", "wait"))),
    )


def questions(round_: int) -> Iterator[Call]:
    """Of requirements, with and without a signature of their own."""
    for n, kind in enumerate(REQUIREMENTS):
        for tag in (f"q{n}", f"ask{round_}k{n}"):
            asks = json.dumps(kind(tag))
            yield "mm_explain", (), ("", asks, "", "", "", "50")
            yield "mm_explain", (), ("", asks, "c", "w", "m1", "50")
            yield "mm_machines_for", (), (asks, "c", "w", "1000")
    for job in (f"q{10 * n}" for n in range(6)):
        yield "mm_explain", (), (job, "", "", "", "", "50")
        yield "mm_job", (), (job,)
    yield "mm_job", (), (f"r{round_}large0",)
    for state in ("next", "pending", "running", "delayed", "dead", "done"):
        yield "mm_jobs", (), (state, "0", "100")
    yield "mm_jobs", (), ("pending", "40:0", "100")


def offering(round_: int) -> Iterator[Call]:
    for n, offer in enumerate(offers(8)):
        changed = json.dumps({**offer, "round": round_, "of": n})
        yield "mm_offer", (KEYS.lease("m1"),), ("m1", f"s{n}", "60000", changed)
        yield "mm_offer", (KEYS.lease("m1"),), ("m1", f"s{n}", "60000", changed + " ")
    denied = {"services": ["comfyui"], "customer_access": {"denied_customers": [f"c{round_}-{n}" for n in range(250)]}}
    yield "mm_offer", (KEYS.lease("m1"),), ("m1", "denies", "60000", json.dumps(denied))
    yield "mm_offer", (KEYS.lease("m1"),), ("m1", "denies", "60000", "")


def keeping(round_: int) -> Iterator[Call]:
    """What goes on with what others left, and what workers say."""
    for n in range(8):
        yield "mm_claim", (KEYS.lease(f"m{n}"), KEYS.models(f"m{n}")), (
            f"m{n}", "w", "", f"t{round_}-{n}", "60000", "1000", "120000", "", "", "", "8", *map(str, range(8)))  # fmt: skip
    for name in ("mm_settle", "mm_reap"):
        for _ in range(4):
            yield name, (), ("500",)
    yield "mm_demand", (KEYS.lease("m1"),), ("m1", "60000", "20")
    for name in ("mm_cancel", "mm_retry", "mm_retry"):
        yield name, (), (f"q{10 * (round_ % 20)}",)
    yield "mm_fail", (), ("q1", "t", "missing_model", "x" * 1000, "1000")
    yield "mm_extend", (), ("q1", "t", "60000")
    yield "mm_complete", (), ("q1", "t", "x" * 4096, "60000")
    yield "mm_tune", (), ("keep_ms", "3600000")


def taking(client: redis.Redis, round_: int) -> Iterator[Call]:
    """What the older fleet's producers and workers send."""
    for n in range(100):
        kind = REQUIREMENTS[n % 6]
        name = f"old{round_}-{n}"
        client.hset(
            f"job:{name}",
            mapping={"requirements": json.dumps(kind(name)), "service_required": "comfyui", "payload": "x" * 1000},
        )
        client.zadd(KEYS.pending, {name: 50e15 - n})
    for mode in ("eligible", "all", "all"):
        yield "mm_take_in", (KEYS.pending,), ("100", mode)
    for n, offer in enumerate(offers(4)):
        worker = {**offer, "worker_id": f"w{round_}-{n}", "machine_id": f"old{n}"}
        yield "mm_find_matching_job", (KEYS.pending,), (json.dumps(worker), "100")


def odd(name: str, chance: random.Random, number: int) -> Iterator[Call]:
    """Any values in any place."""
    values = (*ODD, "q0", "q1", "m1", "t", "pending", "all", "retry", "wait", json.dumps(many_models("odd")))
    for _ in range(number):
        keys = (
            (KEYS.lease("m1"), KEYS.models("m1"))
            if name in ("mm_claim", "mm_demand", "mm_offer", "mm_explain")
            else (KEYS.pending,)
        )
        yield name, keys, tuple(chance.choice(values) for _ in range(chance.randrange(0, 16)))


def among_declared(client: redis.Redis, round_: int) -> Iterator[Call]:
    """Where many offers declare their models: jobs that one of them can do, that all can, and that none can."""
    lease, shared = (KEYS.lease("m1"),), json.dumps({"service": "comfyui", "models": "shared.pt"})
    policies = ("wait", "reject", "fetch")

    def jobs(tag: str, number: int) -> tuple[str, ...]:
        asks = [json.dumps({"service": "comfyui", "models": f"own-{50 * round_ + n}.pt"}) for n in range(number)]
        return tuple(part for n in range(number) for part in
                     (f"{tag}{round_}-{n}", "0", asks[n], "", "", "", "3", policies[n % 3]))  # fmt: skip

    for tag in ("new", "known"):
        yield "mm_submit", (), ("25", *jobs(tag, 25))
        yield "mm_submit", (), ("1", f"{tag}{round_}", "0", shared, "", "", "", "3", "fetch")
        yield (
            "mm_submit",
            (),
            ("1", f"{tag}{round_}-none", "0", f'{{"models":"none-{round_}.pt"}}', "", "", "", "3", "reject"),
        )
        for _ in range(40):
            yield "mm_settle", (), ("500",)
    yield "mm_job", (), (f"new{round_}",)
    yield "mm_machines_for", (), (shared, "", "", "1000")
    yield "mm_explain", (), (f"new{round_}", "", "", "", "", "50")
    yield "mm_starving", (), ("0", "500")
    yield "mm_demand", lease, ("m1", "60000", "20")
    for model in (f"later-{round_}.pt", "gone.pt"):
        offer = json.dumps({"services": ["comfyui"], "models": {"comfyui": ["shared.pt", model]}})
        yield "mm_offer", lease, ("m1", "changing", "60000", offer)
    yield "mm_submit", (), ("1", f"changed{round_}", "0", shared, "", "", "", "3", "wait")
    yield (
        "mm_claim",
        (*lease, KEYS.models("m1")),
        ("m1", "w", "changing", f"d{round_}", "60000", "1000", "0", "", "", "", "0"),
    )


def worst(client: redis.Redis, round_: int) -> Iterator[Call]:
    yield from submits(round_)
    yield from questions(round_)
    yield from offering(round_)
    yield from taking(client, round_)
    yield from keeping(round_)
