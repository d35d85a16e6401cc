"""Numbers of things, as people say them."""

from __future__ import annotations


def counted(number: int, word: str) -> str:
    """'1 file', '12,345 files'."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
