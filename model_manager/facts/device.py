"""Where bytes lie, as far as it matters to who reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DeviceKind = Literal["ssd", "rotational", "network", "memory", "overlay", "unknown"]
"""`overlay`: a container's file system, which does not say what lies below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What readers share. `name` is equal for paths that do: the disk ("sda", or "sda+sdb" below a volume of both), the
    export ("nas:/models"), else the file system's number ("0:45")."""

    name: str
    kind: DeviceKind
