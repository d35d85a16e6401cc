"""Several real servers that are one: a primary with its replica under a Sentinel, and a Cluster. Each on ports of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import redis

from tests.bus.servers import DEADLINE, binary

SERVICE = "fleet"

QUICK = ("--repl-diskless-sync", "no", "--repl-ping-replica-period", "1")
"""A replica is filled at once, and not at the next second's turn."""


def free_ports(count: int) -> list[int]:
    """Below 50,000, for a node of a Cluster also takes the port 10,000 above. Others may take one meanwhile: then a start fails, loudly."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            both = [stack.enter_context(socket.socket()) for _ in range(2)]
            both[0].bind(("127.0.0.1", 0))
            port = 10_000 + both[0].getsockname()[1] % 30_000
            both[0].close()
            if port in found or not all(_takes(stack, each) for each in (port, port + 10_000)):
                continue
            found.append(port)
    return found


def _takes(stack: ExitStack, port: int) -> bool:
    try:
        stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


class Node:
    """A server, or a Sentinel, on a port."""

    def __init__(self, name: str, port: int, *options: str, configuration: str = "", sentinel: bool = False) -> None:
        self.port = port
        self.directory = Path(tempfile.mkdtemp(prefix="mm-"))
        file = self.directory / "conf"
        file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self.directory}\nlogfile {self.directory}/log\n{configuration}\n"
        )
        self._command = [binary(name), str(file), *options, *(["--sentinel"] if sentinel else ["--save", ""])]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        weakref.finalize(self, self._process.kill)
        until(self.answers, self.words)

    def answers(self) -> bool:
        assert self._process.poll() is None, self.words()
        try:
            return bool(self.client().ping())
        except redis.ConnectionError:
            return False

    def words(self) -> str:
        log = self.directory / "log"
        return log.read_text() if log.exists() else "it said nothing"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, protocol=2)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def until(true: Callable[[], bool], words: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline, words()
        time.sleep(0.01)


class Watched:
    """A primary, a replica, and one Sentinel that makes the replica primary when the primary has been silent for 0.3 s."""

    def __init__(self, name: str) -> None:
        self.primary, self.replica, watcher = free_ports(3)
        self.nodes = {self.primary: Node(name, self.primary, *QUICK)}
        self.nodes[self.replica] = Node(name, self.replica, *QUICK, "--replicaof", "127.0.0.1", str(self.primary))
        until(lambda: self._link(self.replica) == "up")
        lines = (
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.primary} 1",
            f"sentinel down-after-milliseconds {SERVICE} 300",
            f"sentinel failover-timeout {SERVICE} 3000",
        )
        self.sentinel = Node(name, watcher, configuration="\n".join(lines), sentinel=True)
        self.url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{watcher}/{SERVICE}"
        until(lambda: len(self._told("SENTINEL", "REPLICAS", SERVICE)) == 1)

    def _told(self, *command: str) -> list[bytes]:
        return self.sentinel.client().execute_command(*command)  # type: ignore[no-any-return]

    def _link(self, port: int) -> str:
        return str(self.nodes[port].client().info("replication").get("master_link_status"))

    def caught_up(self) -> None:
        """The replica has what the primary has."""
        assert self.nodes[self.primary].client().wait(1, int(DEADLINE * 1000)) == 1

    def forget(self) -> None:
        """From now on the replica hears nothing: what is acknowledged now will be lost."""
        self.nodes[self.replica].client().execute_command("REPLICAOF", "127.0.0.1", "1")

    def fail_over(self) -> None:
        """The primary is killed, and the replica takes its place as the Sentinel says."""
        self.nodes[self.primary].kill()
        address = [b"127.0.0.1", str(self.replica).encode()]
        until(lambda: self._told("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE) == address, self.sentinel.words)
        until(lambda: self.nodes[self.replica].client().info("replication")["role"] == "master")
        self.primary, self.replica = self.replica, self.primary

    def close(self) -> None:
        for each in (self.sentinel, *self.nodes.values()):
            each.close()


class Pair:
    """A primary and its replica, without anybody who watches: what a failover loses is decided here."""

    def __init__(self, name: str) -> None:
        self.primary, self.replica = (Node(name, port, *QUICK) for port in free_ports(2))
        self._behind = True
        self.catch_up()

    def catch_up(self) -> None:
        """The replica has everything, and follows."""
        if not self._behind:
            return
        self.replica.client().execute_command("REPLICAOF", "127.0.0.1", str(self.primary.port))
        until(lambda: self.replica.client().info("replication").get("master_link_status") == "up", self.replica.words)
        self._behind = False

    def fall_behind(self) -> None:
        """The replica has everything up to now, and hears nothing of what comes."""
        self.catch_up()
        assert self.primary.client().wait(1, int(DEADLINE * 1000)) == 1
        self.replica.client().execute_command("REPLICAOF", "NO", "ONE")
        self._behind = True

    def fail_over(self) -> None:
        """The replica takes the primary's place, whatever it lacks; the clients of the old one are cut off."""
        if not self._behind:
            self.fall_behind()
        self.primary, self.replica = self.replica, self.primary
        self.replica.client().execute_command("CLIENT", "KILL", "TYPE", "NORMAL")
        self.catch_up()

    def close(self) -> None:
        self.primary.close()
        self.replica.close()


class Cluster:
    """Three primaries and no replica, each with a third of the slots."""

    def __init__(self, name: str) -> None:
        ports = free_ports(3)
        self.nodes = [
            Node(
                name,
                port,
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "2000",
                "--cluster-require-full-coverage",
                "no",
            )
            for port in ports
        ]
        bounds = [0, 5461, 10923, 16384]
        for n, node in enumerate(self.nodes):
            node.client().execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[n], bounds[n + 1] - 1)
            node.client().execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0])
        for node in self.nodes:
            until(lambda node=node: self._whole(node), node.words)  # type: ignore[misc]
        self.url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{ports[0]}"

    def _whole(self, node: Node) -> bool:
        said = node.client().execute_command("CLUSTER", "INFO")
        return b"cluster_state:ok" in said and b"cluster_slots_ok:16384" in said

    def owner(self, slot: int) -> Node:
        for first, last, address, *_ in self.nodes[0].client().execute_command("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == address[1])
        raise LookupError(slot)

    def move(self, slot: int, other: Node) -> None:
        """The slot and all its keys go to another node."""
        old = self.owner(slot)
        of = {node.port: node.client().execute_command("CLUSTER", "MYID") for node in (old, other)}
        other.client().execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", of[old.port])
        old.client().execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", of[other.port])
        while keys := old.client().execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            for key in keys:
                old.client().execute_command("MIGRATE", "127.0.0.1", other.port, key, 0, 5000)
        for node in (other, old, *self.nodes):
            node.client().execute_command("CLUSTER", "SETSLOT", slot, "NODE", of[other.port])

    def close(self) -> None:
        for node in self.nodes:
            node.close()
