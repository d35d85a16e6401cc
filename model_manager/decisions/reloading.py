"""May new settings be adopted while running?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """All of the change takes effect now; `changed` are the fields that differ."""

    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Some of it needs a restart, so none of it is adopted; `fields` are those."""

    fields: tuple[str, ...]


def reload(old: Mapping[str, Any], new: Mapping[str, Any], live: frozenset[str]) -> Adopt | Restart:
    """All or none: a half-adopted change is a third configuration that nobody wrote."""
    changed = tuple(name for name in new if new[name] != old.get(name))
    fixed = tuple(name for name in changed if name not in live)
    return Restart(fields=fixed) if fixed else Adopt(changed=changed)
