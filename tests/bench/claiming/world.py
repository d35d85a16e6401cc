"""The fleet and the queue that every contender is given: the same jobs, the same machines, from the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from model_manager.facts.event import Entry
from tests.bus.telling import entry as told

SERVICE: Final = "comfyui"
FOLDER: Final = "checkpoints"

CARDS: Final = (12, 16, 24, 48)
ASKED: Final = (None, 8, 12, 16, 24)
HELD: Final = 300
"""Models of a usual machine; the largest real inventories seen have about as many."""

CATALOG: Final = 1_500
"""Models at least; half as many as there are signatures when that is more."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a job asks: models by name, and GB of GPU memory at least. The last model is a rare one."""

    models: tuple[str, ...]
    gpu: int | None

    def fits(self, machine: Machine) -> bool:
        return (self.gpu is None or machine.gpu >= self.gpu) and machine.models.issuperset(self.models)

    @property
    def requirements(self) -> dict[str, object]:
        asked: dict[str, object] = {"models": list(self.models)}
        return asked if self.gpu is None else asked | {"gpu_memory_gb": self.gpu}


@dataclass(frozen=True)
class Machine:
    name: str
    gpu: int
    models: frozenset[str]

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(entry(name) for name in sorted(self.models))


@dataclass(frozen=True, slots=True)
class Job:
    """`signature` is an index into the world's; the payload is a reference of 40 bytes, as large ones belong elsewhere."""

    id: str
    signature: int
    priority: int

    @property
    def payload(self) -> str:
        return f"s3://workflows/{self.id:0>24}"


@dataclass(frozen=True)
class World:
    """`machines` are usual ones, `able` can serve every signature, `unable` none though it holds as much as others."""

    signatures: Sequence[Signature]
    machines: Sequence[Machine]
    able: Machine
    unable: Machine
    catalog: Sequence[str]

    def jobs(self, count: int, prefix: str = "j") -> Iterator[Job]:
        """Every signature has about as many; priorities 1 to 10."""
        chance = random.Random(f"{prefix}{count}")
        for n in range(count):
            yield Job(f"{prefix}{n}", chance.randrange(len(self.signatures)), chance.randint(1, 10))


def entry(name: str) -> Entry:
    """A verified model of 4 GB; its digest is its own."""
    digest = f"{random.Random(name).getrandbits(256):064x}"
    return replace(told(name, folder=FOLDER, size=4_000_000_000), hash=digest)


def path_of(name: str) -> str:
    """Where a model lies on every machine."""
    return f"/models/{FOLDER}/{name}"


def world(signatures: int, machines: int) -> World:
    """Popularity falls as in real catalogs (the n-th model with 1/n); even models are usual ones, odd ones are rare."""
    chance = random.Random(f"{signatures} {machines}")
    catalog = [f"model-{n:05d}.safetensors" for n in range(max(CATALOG, signatures // 2))]
    usual, rare = catalog[0::2], catalog[1::2]
    asked = tuple(_signatures(chance, usual, rare, signatures))
    fleet = tuple(_machine(chance, f"m{n}", catalog) for n in range(machines))
    return World(
        signatures=asked,
        machines=fleet,
        able=Machine("able", 80, frozenset(catalog)),
        unable=Machine("unable", 80, frozenset(usual[:HELD])),
        catalog=catalog,
    )


def _signatures(
    chance: random.Random, usual: Sequence[str], rare: Sequence[str], count: int
) -> Iterator[Signature]:  # fmt: skip
    seen: set[Signature] = set()
    while len(seen) < count:
        models = {_popular(chance, usual) for _ in range(chance.randint(0, 2))}
        one = Signature((*sorted(models), _popular(chance, rare)), chance.choice(ASKED))
        if one not in seen:
            seen.add(one)
            yield one


def _machine(chance: random.Random, name: str, catalog: Sequence[str]) -> Machine:
    held: set[str] = set()
    while len(held) < min(HELD, len(catalog) // 2):
        held.add(_popular(chance, catalog))
    return Machine(name, chance.choice(CARDS), frozenset(held))


def _popular(chance: random.Random, names: Sequence[str]) -> str:
    """The n-th of N names with a likelihood of about 1/n: N to the power of a uniform number."""
    return names[min(len(names) - 1, int(len(names) ** chance.random()) - 1)]
