from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from blake3 import blake3

from model_manager.library.contents.mapper import COMMAND
from tests.library.mapping import MIB
from tests.library.shelves import put


@dataclass
class Talk:
    child: subprocess.Popen[bytes]
    line: socket.socket

    def begin(self, file: Path, threads: int = 2) -> None:
        with file.open("rb") as opened:
            socket.send_fds(self.line, [b"begin %d" % threads], [opened.fileno()])

    def ask(self, text: bytes) -> bytes:
        self.line.send(text)
        return self.line.recv(128)


@pytest.fixture
def talk() -> Iterator[Talk]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        child = subprocess.Popen(COMMAND, stdin=theirs, stderr=subprocess.DEVNULL, env={})
        theirs.close()
        ours.settimeout(30)
        try:
            yield Talk(child=child, line=ours)
        finally:
            child.kill()
            child.wait()


def test_parts_are_answered_in_order_and_the_end_with_the_digest_of_all(talk: Talk, tmp_path: Path) -> None:
    for size in (3 * MIB + 5, 1):
        content = os.urandom(size)
        talk.begin(put(tmp_path / str(size), content))
        for start in range(0, size, MIB):
            stop = min(size, start + MIB)
            assert talk.ask(b"%d %d" % (start, stop)) == b"%d" % stop
        assert talk.ask(b"end").decode() == blake3(content).hexdigest()


def test_d1_it_ends_when_the_other_side_hangs_up(talk: Talk) -> None:
    talk.line.close()
    assert talk.child.wait(30) == 0


@pytest.mark.parametrize("text", [b"nonsense", b"0 100", b"1 2 3"])
def test_k7_what_it_cannot_do_ends_it(talk: Talk, tmp_path: Path, text: bytes) -> None:
    talk.begin(put(tmp_path / "x", b"short"))
    assert talk.ask(text) == b""
    assert talk.child.wait(30) == 1
