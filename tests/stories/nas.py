"""A file server's directory as a real mount of the kernel, by FUSE: it can hang, go slowly, and go away.

    python -m tests.stories.nas DIRECTORY POINT [BYTES_A_SECOND]

It shows a directory, read-only, and says `mounted` when it does. Formats: linux/fuse.h, protocol 7.31.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stories.volumes import unmount

KIND = "fuse.sshfs"
SOURCE = "nas:/models"
LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH = 1, 2, 3, 14, 15, 17, 18, 25
INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 26, 27, 28, 29, 36, 42
HANG = signal.SIGUSR1
SILENT = (FORGET, INTERRUPT, BATCH_FORGET)
LARGEST = 1 << 18

_HEADER, _READ = struct.Struct("<IIQQIIII"), struct.Struct("<QQIIQII")


class Server:
    def __init__(self, directory: str, rate: float) -> None:
        self._paths = {1: directory}
        self._rate = rate

    def serve(self, fd: int) -> None:
        asked, asking = os.pipe2(os.O_NONBLOCK)
        signal.set_wakeup_fd(asking)
        signal.signal(HANG, lambda *_: None)
        while True:
            if asked in select.select([fd, asked], [], [])[0]:
                os.read(asked, 1)
                os.kill(os.getpid(), signal.SIGSTOP)
                continue
            try:
                message = os.read(fd, LARGEST)
            except OSError as error:
                if error.errno == errno.ENODEV:  # it was unmounted
                    return
                continue
            _, code, unique, node, *_ = _HEADER.unpack_from(message)
            if code in SILENT:
                continue
            failed, answer = 0, b""
            try:
                answer = self._answer(code, node, message[_HEADER.size :])
            except OSError as error:
                failed = error.errno or errno.EIO
            os.write(fd, struct.pack("<IiQ", 16 + len(answer), -failed, unique) + answer)

    def _answer(self, code: int, node: int, body: bytes) -> bytes:
        path = self._paths.get(node, "")
        if code == INIT:
            return struct.pack("<IIIIHHIIHHI7I", 7, 31, 1 << 17, 0, 12, 10, 1 << 17, 1, 32, 0, 0, *(0,) * 7)
        if code == LOOKUP:
            return self._entry(os.path.join(path, os.fsdecode(body.rstrip(b"\0"))))
        if code == GETATTR:
            return struct.pack("<QII", 0, 0, 0) + _attributes(os.lstat(path))
        if code in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, 0, 0)
        if code in (RELEASE, RELEASEDIR, FLUSH):
            return b""
        if code == STATFS:
            return struct.pack("<5QIIII6I", 1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096, 0, *(0,) * 6)
        if code in (READ, READDIR):
            _, offset, size, *_ = _READ.unpack_from(body)
            return self._bytes(path, offset, size) if code == READ else _names(path, offset, size)
        raise OSError(errno.ENOSYS, "")

    def _entry(self, path: str) -> bytes:
        state = os.lstat(path)
        self._paths[state.st_ino] = path
        return struct.pack("<QQQQII", state.st_ino, 0, 0, 0, 0, 0) + _attributes(state)

    def _bytes(self, path: str, offset: int, size: int) -> bytes:
        with open(path, "rb") as file:
            data = os.pread(file.fileno(), size, offset)
        if self._rate:
            time.sleep(len(data) / self._rate)
        return data


def _attributes(state: os.stat_result) -> bytes:
    times = (state.st_atime_ns, state.st_mtime_ns, state.st_ctime_ns)
    seconds, rest = [at // 10**9 for at in times], [at % 10**9 for at in times]
    owner = (state.st_mode, state.st_nlink, state.st_uid, state.st_gid, 0, 4096, 0)
    return struct.pack("<6Q10I", state.st_ino, state.st_size, state.st_blocks, *seconds, *rest, *owner)


def _names(path: str, offset: int, size: int) -> bytes:
    found = b""
    for number, name in enumerate(sorted(os.listdir(path))[offset:], offset + 1):
        state, text = os.lstat(os.path.join(path, name)), os.fsencode(name)
        entry = struct.pack("<QQII", state.st_ino, number, len(text), stat.S_IFMT(state.st_mode) >> 12) + text
        entry += bytes(-len(entry) % 8)
        if len(found) + len(entry) > size:
            break
        found += entry
    return found


def hang(server: subprocess.Popen[str]) -> None:
    """Stops it between two requests: the kernel keeps a process, even a killed one, whose request a stopped server has taken."""
    server.send_signal(HANG)
    os.waitid(os.P_PID, server.pid, os.WSTOPPED)


@contextmanager
def served(directory: Path, point: Path, rate: float = 0.0) -> Iterator[subprocess.Popen[str]]:
    """The server, which may `hang`, until SIGCONT, or be killed (it is gone)."""
    point.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.stories.nas", str(directory), str(point), str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "mounted\n"
            yield server
        finally:
            server.kill()
            unmount(point)


def main(directory: str, point: str, rate: str = "0") -> None:
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(SOURCE.encode(), os.fsencode(point), KIND.encode(), ctypes.c_ulong(0), options):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), point)
    print("mounted", flush=True)
    Server(directory, float(rate)).serve(fd)


if __name__ == "__main__":
    main(*sys.argv[1:])
