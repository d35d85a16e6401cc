"""How fast the index is with many files. Run as a program: `many.py [files]`; it prints milliseconds, and is no test."""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from model_manager.facts.disk import Diff, Held
from model_manager.index.reading import Shop
from tests.index.making import AT, MACHINE, ROOT, begun, digests, held

WORDS = (
    "detail tweaker film grain anime style realistic vision xl flux character photo noise turbo lightning dream shaper"
)
FOLDERS = ("loras", "checkpoints", "vae", "controlnet")


def library(files: int) -> tuple[Held, ...]:
    """Files in 1,000 directories, with names as people give them."""
    chance, words = random.Random(1), WORDS.split()
    names = ("_".join(chance.choices(words, k=3)) for _ in range(files))
    return tuple(
        held(
            f"dir{n % 1000}/{name}_{n}.safetensors",
            folder=FOLDERS[n % 4],
            inode=n + 10,
            size=chance.randint(10**6, 10**10),
        )
        for n, name in enumerate(names)
    )


def measured(what: str, action: Callable[[], object], times: int = 31) -> None:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        taken.append((time.perf_counter() - start) * 1e3)
    print(f"{what:38} p50 {statistics.median(taken):9.2f} ms   best {min(taken):9.2f} ms")


def write(path: Path, files: tuple[Held, ...]) -> None:
    store = begun(path)
    measured("all at once, new", lambda: store.apply(Diff(appeared=files), at=AT), 1)
    measured("held", store.held, 3)
    measured("an epoch begins", lambda: store.begin_epoch(1, MACHINE), 3)
    news = iter(held(f"new-{n}.gguf", inode=10**7 + n) for n in range(1000))
    measured("one file, new", lambda: store.apply(Diff(appeared=(next(news),)), at=AT), 200)
    read = (replace(one, digests=digests(one.file), evidence="content", verified_at=AT) for one in files)
    measured("one file, read", lambda: store.apply(Diff(changed=(next(read),)), at=AT), 200)
    many = lambda: store.apply(Diff(changed=tuple(next(read) for _ in range(64))), at=AT)  # noqa: E731
    measured("64 files, read", many, 20)
    store.sampled([(one.file, one.fingerprint, f"{n:016x}") for n, one in enumerate(files)])
    store.close()


def look(path: Path, files: tuple[Held, ...]) -> None:
    one = files[len(files) // 2]
    base = one.shelf.name.rpartition("/")[2]
    with Shop.open(path) as shop:
        measured("find: name", lambda: shop.find(base))
        measured("find: path", lambda: shop.find(str(one.shelf)))
        measured("find: quick hash, 14 digits", lambda: shop.find("000000000000c3"))
        measured("find: sha256, 8 digits", lambda: shop.find((digests(files[5].file).sha256 or "")[:8]))
        measured("find: beginning of a name", lambda: shop.find("dream_shaper"))
        measured("find: common part of a name", lambda: shop.find("shaper"))
        measured("find: rare part of a name", lambda: shop.find(f"_{len(files) // 2}."))
        measured("find: part of no name", lambda: shop.find("no such name"))
        measured("list: all", shop.listing)
        measured("list: all, by size", lambda: shop.listing(order="size"))
        measured("list: folder", lambda: shop.listing(folder="loras"))
        measured("list: folder, by size", lambda: shop.listing(folder="loras", order="size"))
        measured("list: folder, by age", lambda: shop.listing(folder="loras", order="added"))
        measured("list: subfolder", lambda: shop.listing(folder="loras/dir8"))
        measured("list: directory", lambda: shop.listing(directory=ROOT))
        measured("count: folder", lambda: shop.count(folder="loras"))
        measured("duplicates", shop.duplicates, 5)
        measured("summary", shop.summary, 5)


def main() -> None:
    files = library(int(sys.argv[1]) if sys.argv[1:] else 100_000)
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory) / "index.sqlite", files)
        look(Path(directory) / "index.sqlite", files)


if __name__ == "__main__":
    main()
