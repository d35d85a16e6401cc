from __future__ import annotations

import asyncio
import io
import os
import pty
import sys
import termios

import pytest

from model_manager.cli.keys import keys


async def test_letters_and_sequences_come_one_by_one_and_the_terminal_is_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    heard: list[str] = []
    with open(theirs, closefd=False) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with keys(heard.append):
            os.write(ours, "aä\x1b[A\x1b[5~\x1bOP\x1b".encode())
            async with asyncio.timeout(20):
                while len(heard) < 6:
                    await asyncio.sleep(0.01)
    assert heard == ["a", "ä", "\x1b[A", "\x1b[5~", "\x1bOP", "\x1b"]
    assert termios.tcgetattr(theirs) == before
    os.close(theirs)
    os.close(ours)


async def test_without_a_terminal_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("q"))
    heard: list[str] = []
    with keys(heard.append):
        await asyncio.sleep(0)
    assert heard == []
