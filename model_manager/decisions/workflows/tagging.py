"""Which models does a prompt name in its text?

`embedding:name` is ComfyUI's own (sd1_clip.py: up to the next blank; weights and brackets around it are not part of it).
`<lora:name:weight>` is the habit of A1111, which several custom nodes read and ComfyUI's own text encoders do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

_EMBEDDING = re.compile(r"embedding:([^\s,:;()\[\]{}<>|\"*?]{1,255})")
_LORA = re.compile(r"<(?:lora|lyco):([^:<>\n]{1,255})(?::[^<>\n]{0,60})?>")

MOST: Final = 2_000
"""Tags that are read of one text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """`name` as written, and where it stands in the text."""

    sort: Literal["embedding", "lora"]
    name: str
    span: tuple[int, int]


def tags(text: str) -> Iterator[Tag]:
    """The tags of a text, embeddings first."""
    for sort, pattern in (("embedding", _EMBEDDING), ("lora", _LORA)):
        if f"{'embedding' if sort == 'embedding' else '<l'}" not in text:
            continue
        for _, hit in zip(range(MOST), pattern.finditer(text), strict=False):
            name = hit.group(1).rstrip(".").rstrip()
            if name:
                yield Tag(sort=sort, name=name, span=(hit.start(1), hit.start(1) + len(name)))  # type: ignore[arg-type]
