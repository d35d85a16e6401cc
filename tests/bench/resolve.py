"""Which local file is each of 1,000 references? Against 100,000 indexed files: out of the index on disk, and in memory.

The peer looks through every name for each reference, as tools do that read their whole table for each.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from model_manager.decisions.resolving import base, keys, resolve
from model_manager.facts.disk import Diff
from model_manager.facts.identity import Pin
from model_manager.facts.known import Known
from model_manager.facts.resolution import Layout, Ruling, Wish
from model_manager.index.reading import Shop
from tests.bench.row import Row
from tests.index.making import AT, begun, digests, held

FOLDERS = ("loras", "checkpoints", "vae", "text_encoders")
GOAL = 100.0


def run(smoke: bool) -> Iterator[Row]:
    files, references, rounds = (2_000, 50, 1) if smoke else (100_000, 1_000, 7)
    case = f"{references} references × {files} files"
    with tempfile.TemporaryDirectory(prefix="mm-") as home:
        path = Path(home) / "index.sqlite"
        _write(path, files)
        wanted = _wanted(files, references)
        with Shop.open(path) as shop:
            everything = shop.listing(limit=files)
            layout = Layout(trees=(everything[0].root,))
            indexed, found = _measured(lambda: _by_index(shop, wanted, layout), rounds)
            memory, same = _measured(lambda: resolve(wanted, everything, layout), rounds)
            few = wanted[: max(1, references // 100)]
            peer, _ = _measured(lambda: [_by_looking(wish, everything) for wish in few], 1)
    _insist(found, same)
    peer *= len(wanted) / len(few)
    yield Row(bench="resolve", case=f"{case}, index on disk", ours=indexed, peer=peer, unit="ms", goal=GOAL)
    yield Row(bench="resolve", case=f"{case}, in memory", ours=memory, peer=peer, unit="ms", goal=GOAL)


def _by_index(shop: Shop, wanted: Sequence[Wish], layout: Layout) -> tuple[Ruling, ...]:
    return resolve(wanted, shop.candidates(*keys(wanted)), layout)


def _by_looking(wish: Wish, files: Sequence[Known]) -> list[Known]:
    return [known for known in files if base(known.name) == base(wish.name)]


def _measured(work: Callable[[], Sequence[Ruling] | object], rounds: int) -> tuple[float, tuple[Ruling, ...]]:
    """Milliseconds at the median, and what came of it."""
    taken, result = [], work()
    for _ in range(rounds):
        begun_at = time.perf_counter()
        result = work()
        taken.append((time.perf_counter() - begun_at) * 1e3)
    return statistics.median(taken), result if isinstance(result, tuple) else ()


def _insist(found: Sequence[Ruling], same: Sequence[Ruling]) -> None:
    """Both ways come to the same, and to something of every kind."""
    states = [ruling.state for ruling in found]
    if states != [ruling.state for ruling in same] or not {"loads", "fixable", "missing"} <= set(states):
        raise AssertionError(f"the two ways differ, or something is never seen: {sorted(set(states))}")


def _write(path: Path, files: int) -> None:
    store = begun(path)
    made = [
        held(f"set{n % 500}/model_{n}.safetensors", folder=FOLDERS[n % 4], inode=n + 1, size=n + 1000)
        for n in range(files)
    ]
    store.apply(Diff(appeared=tuple(made)), at=AT)
    store.close()


def _wanted(files: int, references: int) -> list[Wish]:
    """A fifth each: exact, with backslashes, in another case, in another subfolder with a hash, not here."""
    chance, wanted = random.Random(1), []
    for number in range(references):
        n = chance.randrange(files)
        name, folder = f"set{n % 500}/model_{n}.safetensors", FOLDERS[n % 4]
        forms = (name, name.replace("/", "\\"), name.upper(), f"model_{n}.safetensors", f"other_{n}.safetensors")
        text = forms[number % 5]
        pin = Pin(algorithms=("sha256",), hex=digests(str(n)).sha256 or "") if number % 5 > 2 else None
        wanted.append(Wish(name=text.replace("\\", "/"), text=text, folders=(folder,), pin=pin))
    return wanted
