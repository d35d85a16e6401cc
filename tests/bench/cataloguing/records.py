"""A catalog of any size: models with hashes and sizes, a tenth of which need another one, and workflows of ten models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import IO

import orjson


def model_name(n: int) -> str:
    return f"model-{n:07}.safetensors"


def workflow_name(n: int) -> str:
    return f"workflow-{n:06}"


def model(n: int) -> dict[str, object]:
    name = model_name(n)
    return {
        "kind": "model", "id": f"m{n:07}", "name": name, "saveTo": f"models/loras/{name}", "fileSize": 1_000_000 + n,
        "downloadUrl": f"https://huggingface.co/org-{n % 5000}/repo-{n}/resolve/main/{name}",
        "hash": hashlib.sha256(name.encode()).hexdigest(), "isAuthReq": n % 2 == 0,
        "authEnvVar": "HF_TOKEN" if n % 2 == 0 else None, "description": "A model of the benchmark",
        "dependencies": [model_name(n - 1)] if n % 10 == 9 else [],
    }  # fmt: skip


def workflow(n: int, models: int) -> dict[str, object]:
    needs = [model_name((n * 10 + at) % models) for at in range(10)]
    return {"kind": "workflow", "name": workflow_name(n), "models": needs, "custom_nodes": ["node-a", f"node-{n % 50}"]}


def write(stream: IO[bytes], models: int, workflows: int) -> None:
    """NDJSON."""
    for line in _lines(models, workflows):
        stream.write(line)


def _lines(models: int, workflows: int) -> Iterator[bytes]:
    for n in range(models):
        yield orjson.dumps(model(n)) + b"\n"
    for n in range(workflows):
        yield orjson.dumps(workflow(n, models)) + b"\n"
