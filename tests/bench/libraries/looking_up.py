"""What a person asks of an index of a hundred thousand files, each question on its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from model_manager.facts.disk import Diff, Fingerprint, Held
from model_manager.facts.identity import Digests, MachineId
from model_manager.facts.shelf import ShelfPath
from model_manager.index.reading import Shop
from model_manager.index.store import Store
from tests.bench.row import Row
from tests.stories.machine import sha256

AT: Final = "2026-01-02T03:04:05.000Z"
FOLDERS: Final = ("loras", "checkpoints", "vae", "embeddings", "controlnet")
PARTS: Final = (
    ("e", None), ("safetensors", None), ("tyle-09", None), ("no such", None), ("É", None), ("5/style-0500", None),
    ("s/s", None), ("0/", None), ("no/such", None), ("e", "loras"), ("tyle-09", "vae"), ("no such", "loras"),
    ("set0", "loras"), ("9", "loras/set0005"), ("/set", "vae"), ("0500/x", "loras"),
)  # fmt: skip
"""Parts that many names have, some, those at the end, none; of names, of folders, and of both."""

GOAL: Final = 5.0
"""Milliseconds."""


def rows(home: Path, smoke: bool) -> Iterator[Row]:
    files, rounds = (500, 3) if smoke else (100_000, 25)
    path = str(home / "index.sqlite")
    _fill(path, files)
    middle = files // 2
    name, digest = f"set{middle % 1000:04d}/style-{middle:06d}.safetensors", sha256(str(middle).encode())
    with Shop.open(path) as shop:
        questions: dict[str, Callable[[], object]] = {
            "find by name": lambda: shop.find(name.rpartition("/")[2]),
            "find by a part of the name": lambda: shop.find(f"e-{middle:06d}"),
            "find by hash prefix": lambda: shop.find(digest[:12]),
            "find by a part of the path": lambda: shop.find(f"{middle % 1000:04d}/style-{middle // 10:05d}"),
            "find by a part in a folder": lambda: shop.find(f"e-{middle:06d}", folder=FOLDERS[middle % len(FOLDERS)]),
            "find by a folder's path": lambda: shop.find("vae/set"),
            "first page of everything": lambda: shop.listing(limit=50),
            "first page of a folder": lambda: shop.listing(folder="vae", limit=50),
            "first page of a folder by size": lambda: shop.listing(folder="vae", order="size", limit=50),
            "first page of a folder by age": lambda: shop.listing(folder="vae", order="added", limit=50),
            "first page of a folder in it by size": lambda: shop.listing(folder="vae/set0002", order="size", limit=50),
            "first page by age": lambda: shop.listing(order="added", limit=50),
            "first page by size": lambda: shop.listing(order="size", limit=50),
        }
        for case, ask in questions.items():
            assert ask()
            took = sorted(_timed(ask) for _ in range(rounds))[rounds // 2]
            yield Row(bench="library", case=f"{case}, among {files:,}", ours=took, unit="ms", goal=GOAL)
        took = sorted(_timed(partial(shop.find, text, folder=folder)) for text, folder in PARTS for _ in range(rounds))
        for case, value in (("worst", took[-1]), ("p99", took[round(0.99 * (len(took) - 1))])):
            yield Row(
                bench="library", case=f"{len(PARTS)} parts of names and paths, {case}", ours=value, unit="ms", goal=GOAL
            )


def _timed(ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return 1000 * (time.perf_counter() - started)


def _fill(path: str, files: int) -> None:
    store = Store(path)
    store.open()
    try:
        store.begin_epoch(1_700_000_000_000, MachineId("m1"))
        store.apply(Diff(appeared=tuple(_held(number) for number in range(files))), at=AT)
    finally:
        store.close()


def _held(number: int) -> Held:
    folder, name = FOLDERS[number % len(FOLDERS)], f"set{number % 1000:04d}/style-{number:06d}.safetensors"
    digest = sha256(str(number).encode())
    return Held(
        file=f"/models/{folder}/{name}",
        root="/models",
        shelf=ShelfPath(folder=folder, name=name),
        fingerprint=Fingerprint(device=1, inode=number + 1, size=1_000_000 + number, mtime_ns=number),
        digests=Digests(sha256=digest, blake3=digest[::-1]),
        evidence="content",
        verified_at=AT,
    )
