"""What a person asks of an index of a hundred thousand files, each question on its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
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

WIDE_PARTS: Final = (
    ("e", None), ("sion 1", None), ("on 0", "loras"), ("s/m", None), ("0/", None), ("7/s", None), ("sion 3", "vae"), ("/set29", None),
    ("99/style-0", None), ("no/such", None), ("/such", None), ("maker07/set", "loras"), ("r07/set0107/v", None), ("0/x", "loras"),
    ("9/style-09999", "loras"), ("n 03333/", None),
)  # fmt: skip
"""The same where nearly every file has a subfolder of its own."""

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
        yield from _parts(shop, PARTS, "parts of names and paths", rounds)
    path = str(home / "wide.sqlite")
    _fill(path, files, _wide)
    with Shop.open(path) as shop:
        yield from _parts(shop, WIDE_PARTS, f"parts of names and paths, {files // 3:,} subfolders", rounds)


def _parts(shop: Shop, parts: Sequence[tuple[str, str | None]], what: str, rounds: int) -> Iterator[Row]:
    took = sorted(_timed(partial(shop.find, text, folder=folder)) for text, folder in parts for _ in range(rounds))
    for case, value in (("worst", took[-1]), ("p99", took[round(0.99 * (len(took) - 1))])):
        yield Row(bench="library", case=f"{len(parts)} {what}, {case}", ours=value, unit="ms", goal=GOAL)


def _timed(ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return 1000 * (time.perf_counter() - started)


def _fill(path: str, files: int, name_of: Callable[[int], str] | None = None) -> None:
    name_of = name_of or _name
    store = Store(path)
    store.open()
    try:
        store.begin_epoch(1_700_000_000_000, MachineId("m1"))
        store.apply(
            Diff(
                appeared=tuple(_held(number, name_of(number), 3 if name_of is _wide else 1) for number in range(files))
            ),
            at=AT,
        )
    finally:
        store.close()


def _name(number: int) -> str:
    return f"set{number % 1000:04d}/style-{number:06d}.safetensors"


def _wide(number: int) -> str:
    """Three files to a subfolder, in three levels, as a person has them who gives each model its own."""
    third = number // 3
    return f"maker{third % 100:02d}/set{third % 3000:04d}/version {third:05d}/style-{number:06d}.safetensors"


def _held(number: int, name: str, per: int) -> Held:
    folder = FOLDERS[number // per % len(FOLDERS)]
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
