"""Carriers, parcels, manifests and write-backs broken at random: `python -m tests.decisions.workflows.breaking MINUTES`.

Nothing but a refusal may escape, nothing may take longer than SLOWEST seconds of the processor or hold more than LARGEST MiB, and
a value that is written back is read again as the new one.
"""

from __future__ import annotations

import gzip
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from model_manager.decisions.manifesting import read as manifest_of
from model_manager.decisions.rewriting import with_model, with_workflow
from model_manager.decisions.workflows.patching import Edit, patched
from model_manager.decisions.workflows.referring import carried, read
from model_manager.errors import Refused
from model_manager.library.carried.embedded import embedded_in
from model_manager.library.carried.parcels import MANIFEST, packed, unpacked
from tests.decisions.workflows.hard_cases import CASES
from tests.decisions.workflows.mutating import broken_bytes, mutated
from tests.library import carrying

SLOWEST: Final = 2.0
LARGEST: Final = 200

PROMPT: Final = '{"1": {"class_type": "VAELoader", "inputs": {"vae_name": "a.pt"}}}'
CARRIERS: Final = (
    carrying.png(carrying.text("prompt", PROMPT), carrying.packed("workflow", PROMPT.encode())),
    carrying.png(carrying.international("prompt", PROMPT, pack=True)),
    carrying.webp(carrying.exif(f"prompt:{PROMPT}")),
    carrying.jpeg(carrying.exif(f"workflow:{PROMPT}", order=">")),
    carrying.flac(prompt=PROMPT),
    carrying.mp4(carrying.keyed(prompt=PROMPT)),
    carrying.mp4(carrying.commented(json.dumps({"prompt": PROMPT}))),
    carrying.webm(prompt=PROMPT),
    carrying.opus(prompt=PROMPT, workflow=PROMPT + " " * 70_000),
    carrying.mp3(prompt=PROMPT),
    carrying.glb(prompt=PROMPT),
)
TEXT: Final = """# kept
[tool.comfydock.models.required]
4663b7282ed5228b = {filename = "style.safetensors", type = "lora", size = 3000, sources = [{type = "url", url = "https://h.test/a"}]}
[tool.comfydock.models.optional]
x = {filename = "a.pt", type = "vae", sources = [{type = "huggingface", repo = "a/b"}]}
[tool.comfydock.workflows.tracked.flow]
file = "workflows/flow.json"
requires = {nodes = [], models = ["4663b7282ed5228b"], python = []}
"""


def carrier(chance: random.Random) -> None:
    found = embedded_in(broken_bytes(chance.choice(CARRIERS), chance), "a broken file")
    carried("a broken file", found.document, found.prompt, found.workflow)


def parcel(chance: random.Random) -> None:
    data = packed({MANIFEST: TEXT.encode(), "workflows/flow.json": PROMPT.encode()})
    plain = chance.random() < 0.5
    data = gzip.compress(broken_bytes(gzip.decompress(data), chance), 1) if plain else broken_bytes(data, chance)
    with tempfile.NamedTemporaryFile(prefix="broken-") as file:
        file.write(data)
        file.flush()
        unpacked(file.name)


def manifest(chance: random.Random) -> None:
    text = broken_bytes(TEXT.encode(), chance).decode("utf-8", "replace")
    found = manifest_of(text, "a broken manifest")
    for model in found.models:
        text = with_model(text, model, "a broken manifest")
    for flow in found.workflows:
        text = with_workflow(text, flow, "a broken manifest")
    manifest_of(text, "what was written")


def written(chance: random.Random) -> None:
    document = mutated(chance.choice(CASES).document, chance)
    data = json.dumps(document, ensure_ascii=chance.random() < 0.5, indent=chance.choice((None, 1))).encode(
        "utf-8", "surrogatepass"
    )
    for reference in read(data, "a broken workflow").references[:5]:
        edits = [Edit(spot=spot, old=reference.text, new="näw\\/.pt") for spot in reference.spots]
        if edits:
            changed = patched(data, edits, "a broken workflow")
            again = read(changed, "what was written")
            assert any("näw" in each.text for each in again.references) or not again.complete or not reference.active


KINDS: Final[tuple[Callable[[random.Random], None], ...]] = (carrier, carrier, parcel, manifest, written)


def main() -> None:
    minutes, seed = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    end, count, slowest, peak = time.monotonic() + minutes * 60, 0, 0.0, 0
    while time.monotonic() < end:
        chance, kind = random.Random(f"{seed} {count}"), KINDS[count % len(KINDS)]
        began = time.process_time()
        try:
            with suppress(Refused):
                kind(chance)
        except BaseException:
            print(f"{kind.__name__}, seed {seed} {count}", flush=True)
            raise
        took = time.process_time() - began
        slowest, count = max(slowest, took), count + 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        if took > SLOWEST or peak > LARGEST:
            raise TimeoutError(f"{kind.__name__}, seed {seed} {count - 1}: {took:.1f} s, {peak} MiB")
    print(f"{count} broken files (seed {seed}), the slowest took {slowest:.3f} s, memory at most {peak} MiB")


if __name__ == "__main__":
    main()
