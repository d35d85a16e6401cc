"""What `/progress` says, short to write."""

from __future__ import annotations

from typing import Any


def total(**more: Any) -> dict[str, Any]:
    words = ("models", "present", "moving", "queued", "waiting", "failed", "bytes", "total", "unknown", "left", "speed")
    return dict.fromkeys(words, 0) | {"eta": None} | more


def transfer(name: str = "a.safetensors", phase: str = "fetching", **more: Any) -> dict[str, Any]:
    plain = {
        "folder": "vae",
        "name": name,
        "phase": phase,
        "bytes": 0,
        "total": None,
        "speed": 0,
        "eta": None,
        "attempt": 1,
        "why": "",
        "retry_at": "",
        "connections": 0,
        "host": "",
    }
    return plain | more


def progress(*transfers: dict[str, Any], optional: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """`more` of the total of required models."""
    return {"total": total(**more), "optional": optional or total(), "transfers": list(transfers)}
