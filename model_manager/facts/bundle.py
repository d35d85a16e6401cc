"""Files that are one model together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["shards", "diffusers", "transformers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One model in several files. `key` is unique on the machine: the directory, or `<directory>/<stem>-of-<total><ending>`.

    `name` is what ComfyUI or a loader would call it, relative to its folder; `parts` are absolute paths in order; `missing`
    are absolute paths of shards that should be there too.
    """

    key: str
    kind: Kind
    folder: str
    name: str
    parts: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.missing
