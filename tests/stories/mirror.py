"""What the machine's embedded server says of it: the stream and the inventory, read as any consumer would."""

from __future__ import annotations

import json
from typing import Any

import redis

from tests.stories.machine import Machine


def client(machine: Machine) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(machine.state / "redis" / "valkey.sock"), protocol=2)


def stream(machine: Machine) -> list[dict[str, Any]]:
    """Every entry: kind, epoch, seq, instance, data (still packed)."""
    with client(machine) as server:
        entries: Any = server.xrange("model_manager:events")
    return [{key.decode(): value for key, value in fields.items()} for _, fields in entries]


def inventory(machine: Machine) -> dict[str, str]:
    """`folder/name` → SHA-256, of what Redis holds of the machine."""
    with client(machine) as server:
        found: Any = server.hget("machine:m1:models", "models")
    body = json.loads(found or b"{}")
    return {f"{folder}/{entry['name']}": entry["hash"] for folder, entries in body.items() for entry in entries}


def converged(machine: Machine) -> bool:
    """Whether Redis says exactly what the disk has."""
    return inventory(machine) == machine.files()
