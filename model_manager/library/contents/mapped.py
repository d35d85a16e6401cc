"""A process that maps files and takes their BLAKE3: no byte is copied, which reading cannot do.

Who touches a mapped file that was cut short, or that its disk cannot read, is ended by the kernel; so it is never done in a
program that has other work. Run as a file (`python -I mapped.py`) by library/contents/mapper.py, with a packet socket as standard input;
it loads nothing of ours. What it is told, and answers:

    begin THREADS, with a descriptor of the file      (nothing)
    START STOP, which is the next part                STOP, when it was hashed and is not mapped any more
    end                                               the digest, as 64 hex digits

It ends when the other side does, however that ends.
"""

from __future__ import annotations

import mmap
import os
import resource
import socket
import sys
from contextlib import closing

from blake3 import blake3


def main() -> None:
    """Raises whatever goes wrong, which ends the process: the other side has another way."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=sys.stdin.fileno()) as other:
        fd, hasher = -1, blake3()
        while (message := socket.recv_fds(other, 64, 1))[0]:
            text, fds, *_ = message
            words = text.split()
            if fds:
                _close(fd)
                fd, hasher = fds[0], blake3(max_threads=int(words[1]))
            elif words == [b"end"]:
                fd = _close(fd)
                other.send(hasher.hexdigest().encode())
            else:
                start, stop = map(int, words)
                _hash(hasher, fd, start, stop)
                other.send(b"%d" % stop)


def _hash(hasher: blake3, fd: int, start: int, stop: int) -> None:
    with closing(mmap.mmap(fd, stop - start, prot=mmap.PROT_READ, offset=start)) as area:
        hasher.update(area)


def _close(fd: int) -> int:
    if fd >= 0:
        os.close(fd)
    return -1


if __name__ == "__main__":
    main()
