"""Workflows broken at random, for as long as one likes: `python -m tests.decisions.workflows.mutating MINUTES [DIRECTORY]`.

Nothing but BadRecord may escape, no workflow may take longer than SLOWEST, and no answer may hold more than what is bounded.
DIRECTORY holds workflows to start from, beside the hard cases.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from model_manager.decisions.workflows.referring import read, referred
from model_manager.decisions.workflows.surveying import surveyed
from model_manager.errors import BadRecord
from tests.decisions.workflows.hard_cases import CASES

SLOWEST: Final = 5.0
"""Seconds of the processor; what is legal and large takes milliseconds."""

ODD: Final = (
    None, True, False, 0, -1, 4, 2, 10**25, 1e308, "", "x", "None", "a.safetensors", "../../x.ckpt", "C:\\m\\models\\vae\\v.pt",
    "embedding:" * 50, "<lora:" * 50 + ">", "https://h.test/x.safetensors", "https://[::1", "\ud800", "a" * 100_000, [], {}, [[]], [{}],
    ["1", 0], ["1", "x"], {"__value__": [1]}, {"on": False, "lora": "x.pt"}, {"nodes": []}, {"nodes": 1, "links": {}},
    "{\"prompt\": {\"1\": {\"class_type\": \"VAELoader\", \"inputs\": {\"vae_name\": \"v.pt\"}}}}", "{" * 2000, -10, "-10", "sub",
    "VAELoader", "LoRA Stacker", "EmProps_Asset_Downloader", "PrimitiveNode", "GetNode", "SetNode", "Reroute", float("nan"),
)  # fmt: skip


def slots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a document that can hold another value: (container, key)."""
    stack = [value]
    while stack:
        here = stack.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        for key in keys:
            yield here, key
            stack.append(here[key])


def mutated(document: Any, chance: random.Random) -> Any:
    """A copy with one to six places changed, removed, doubled or exchanged for another part of it."""
    copy = json.loads(json.dumps(document))
    for _ in range(chance.randint(1, 6)):
        places = list(slots(copy))
        if not places:
            return chance.choice(ODD)
        holder, key = chance.choice(places)
        other, place = chance.choice(places)
        what = chance.randrange(4)
        if what == 0:
            holder[key] = json.loads(json.dumps(chance.choice(ODD)))
        elif what == 1:
            del holder[key]
        elif what == 2:
            holder[key] = (
                json.loads(json.dumps(other[place]))
                if place in other or (isinstance(other, list) and place < len(other))
                else None
            )
        elif isinstance(holder, dict):
            holder[str(chance.choice(ODD))[:50]] = holder[key]
        else:
            holder.append(holder[key])
    return copy


def survey_of(chance: random.Random) -> tuple[Any, Any]:
    """Answers of a ComfyUI, broken likewise."""
    info = {
        "X": {
            "input": {
                "required": {"a": [["x.pt", "None"], {}], "seed": ["INT", {}]},
                "optional": {"b": ["COMBO", {"options": ["x.pt"]}]},
            }
        }
    }
    broken = mutated(info, chance)
    return broken if isinstance(broken, dict) else {}, {"vae": ["x.pt"]}


def broken_bytes(data: bytes, chance: random.Random) -> bytes:
    body = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if body:
            body[chance.randrange(len(body))] = chance.randrange(256)
    return bytes(body[: chance.randrange(len(body) + 1)]) if chance.random() < 0.2 else bytes(body)


def once(document: Any, chance: random.Random) -> float:
    """One broken workflow, read as JSON and as bytes; how many seconds of the processor that took."""
    live = surveyed(*survey_of(chance)) if chance.random() < 0.2 else None
    broken = mutated(document, chance)
    data = broken_bytes(json.dumps(document).encode(), chance) if chance.random() < 0.3 else b""
    began = time.process_time()
    for reading in (lambda: referred(broken, live), lambda: read(data, "a broken file", live)):
        with suppress(BadRecord):
            reading()
    took = time.process_time() - began
    if took > SLOWEST:
        raise TimeoutError(f"{took:.1f} s for {len(json.dumps(broken))} bytes")
    return took


def main() -> None:
    minutes = float(sys.argv[1])
    files = sorted(Path(sys.argv[2]).rglob("*.json")) if len(sys.argv) > 2 else []
    documents = [case.document for case in CASES] + [json.loads(file.read_bytes()) for file in files]
    seed = int(time.time())
    chance = random.Random(seed)
    end, count, slowest = time.monotonic() + minutes * 60, 0, 0.0
    while time.monotonic() < end:
        state = chance.getstate()
        document = chance.choice(documents)
        try:
            slowest = max(slowest, once(document, chance))
        except Exception:
            chance.setstate(state)
            chance.choice(documents)
            Path("broken.json").write_text(json.dumps(document))
            Path("broken.state").write_text(repr((seed, count, chance.getstate())))
            raise
        count += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{count} broken workflows (seed {seed}), the slowest took {slowest:.3f} s, memory at most {peak} MiB")


if __name__ == "__main__":
    main()
