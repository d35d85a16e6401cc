"""Records for the tables: short to write, complete to read."""

from __future__ import annotations

from typing import Any

from model_manager.facts.disk import Evidence, Fingerprint, Held
from model_manager.facts.identity import Digests, Pin
from model_manager.facts.model import Model, Size, Source
from model_manager.facts.shelf import ShelfPath

SHA_A, SHA_B, BLAKE = "a" * 64, "b" * 64, "c" * 64


def digests(sha256: str = SHA_A, blake3: str = BLAKE, **more: Any) -> Digests:
    return Digests(sha256=sha256, blake3=blake3, **more)


def shelf(path: str) -> ShelfPath:
    folder, _, name = path.partition("/")
    return ShelfPath(folder=folder, name=name)


def model(
    path: str = "vae/x.safetensors",
    pin: str | None = None,
    size: int | None = None,
    url: str | None = "https://h.example/x",
    exact: bool = True,
    **more: Any,
) -> Model:
    return Model(
        **{
            "name": path,
            "path": shelf(path),
            "sources": (Source(url=url),) if url else (),
            "size": Size(bytes=size, exact=exact) if size else None,
            "pin": Pin.parse(pin),
            **more,
        }
    )


def held(
    path: str = "vae/x.safetensors",
    size: int = 100,
    sha256: str | None = SHA_A,
    evidence: Evidence | None = "pin",
    root: str = "/m",
    mtime: int = 1,
) -> Held:
    return Held(
        file=f"{root}/{path}",
        root=root,
        shelf=shelf(path),
        fingerprint=Fingerprint(device=1, inode=hash((root, path)) % 9999, size=size, mtime_ns=mtime),
        digests=digests(sha256) if sha256 else None,
        evidence=evidence,
        verified_at="2026-01-01T00:00:00Z" if evidence else "",
    )
