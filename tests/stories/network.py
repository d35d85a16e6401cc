"""A network of its own: a namespace in which this process can open sockets and start programs, and break the link."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

CLONE_NEWNET: Final = 0x40000000
_HERE: Final = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Network:
    """Only a loopback device, and nobody else. It ends when its descriptor and the programs in it do.

    A socket belongs to the namespace in which it was opened, so that an origin inside is served by our own event loop.
    """

    def __init__(self) -> None:
        home = os.open(_HERE, os.O_RDONLY)
        try:
            _checked(_libc.unshare(CLONE_NEWNET))
            self._fd = os.open(_HERE, os.O_RDONLY)
        finally:
            _checked(_libc.setns(home, CLONE_NEWNET))
            os.close(home)
        self.run("ip", "link", "set", "lo", "up")
        # Small buffers: what the origin counts as sent has nearly arrived.
        self.write("net/ipv4/tcp_rmem", "4096 65536 131072")
        self.write("net/ipv4/tcp_wmem", "4096 65536 131072")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets opened and programs started by this thread in the block are in the namespace."""
        home = os.open(_HERE, os.O_RDONLY)
        try:
            _checked(_libc.setns(self._fd, CLONE_NEWNET))
            yield
        finally:
            _checked(_libc.setns(home, CLONE_NEWNET))
            os.close(home)

    def run(self, *command: str) -> None:
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
        with self.inside():
            done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": path})
        assert done.returncode == 0, (command, done.stderr)

    def write(self, key: str, value: str) -> None:
        """Set one of the namespace's own kernel parameters."""
        self.run("sh", "-c", f"echo '{value}' > /proc/sys/{key}")

    def iptables(self, *rule: str) -> None:
        self.run("iptables", "-w", *rule)

    def reset_after(self, port: int, size: int) -> None:
        """Every connection to `port` is reset towards the client once about `size` bytes came back on it."""
        self.write("net/netfilter/nf_conntrack_acct", "1")
        self.iptables("-A", "INPUT", *_beyond("--dport", port, size), "-j", "REJECT", "--reject-with", "tcp-reset")

    def silence_after(self, port: int, size: int) -> None:
        """Nothing of a connection from `port` arrives any more after about `size` bytes: no end, no reset."""
        self.write("net/netfilter/nf_conntrack_acct", "1")
        self.iptables("-A", "INPUT", *_beyond("--sport", port, size), "-j", "DROP")

    def calm(self) -> None:
        """The faults of `reset_after` and `silence_after` are over."""
        self.iptables("-F", "INPUT")

    def slow_down(self, rate: str) -> None:
        """The whole link carries at most `rate` (8mbit)."""
        self.run("ip", "link", "set", "lo", "mtu", "1500")
        self.run("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", rate, "burst", "64kb", "latency", "200ms")

    def close(self) -> None:
        os.close(self._fd)


def _beyond(side: str, port: int, size: int) -> tuple[str, ...]:
    counting = ("-m", "connbytes", "--connbytes", f"{size}:", "--connbytes-dir", "reply", "--connbytes-mode", "bytes")
    return ("-p", "tcp", side, str(port), *counting)
