"""Keys of a terminal, one by one, without Enter; Ctrl-C stays what it is."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

KEY: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|.", re.DOTALL)


@contextmanager
def keys(pressed: Callable[[str], None]) -> Iterator[None]:
    """`pressed` is called in the event loop with each key: a letter, or the sequence that the terminal sends. None come where
    standard input is no terminal."""
    if not sys.stdin.isatty():
        yield
        return
    number, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(number)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read() -> None:
        try:
            data = os.read(number, 1024)
        except OSError:
            data = b""
        if not data:
            loop.remove_reader(number)  # whoever typed is gone
        for key in KEY.findall(decoder.decode(data)):
            pressed(key)

    tty.setcbreak(number)
    loop.add_reader(number, read)
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)
