"""Servers that speak TLS and nothing else, and want to see a certificate: one, a Sentinel with its primary and replica, a Cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import redis
import trustme

from model_manager.facts.trust import Trust
from tests.bus.fleets import QUICK, SERVICE, Node, free_ports, until


@dataclass(frozen=True)
class Certificates:
    """An authority of our own, and what it vouches for."""

    directory: Path
    authority: trustme.CA

    @classmethod
    def made(cls, directory: Path) -> Certificates:
        directory.mkdir(parents=True, exist_ok=True)
        made = cls(directory, trustme.CA(key_type=trustme.KeyType.ECDSA))
        made.authority.cert_pem.write_to_path(made.ca)
        for name, cert in (
            ("server", made.authority.issue_cert("127.0.0.1")),
            ("client", made.authority.issue_cert("c.test")),
        ):
            cert.private_key_pem.write_to_path(made.key(name))
            with made.cert(name).open("wb") as file:
                file.writelines(blob.bytes() for blob in cert.cert_chain_pems)
        return made

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    def cert(self, name: str) -> Path:
        return self.directory / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    @property
    def trust(self) -> Trust:
        return Trust(ca_file=str(self.ca), cert_file=str(self.cert("client")), key_file=str(self.key("client")))

    def options(self, port: int) -> tuple[str, ...]:
        pairs = {
            "--port": "0", "--tls-port": str(port), "--tls-ca-cert-file": str(self.ca), "--tls-auth-clients": "yes",
            "--tls-cert-file": str(self.cert("server")), "--tls-key-file": str(self.key("server")),
            "--tls-replication": "yes",
        }  # fmt: skip
        return tuple(part for pair in pairs.items() for part in pair)


class Secure(Node):
    def __init__(
        self, certificates: Certificates, port: int, *options: str, configuration: str = "", sentinel: bool = False
    ) -> None:
        self.certificates = certificates
        tls = certificates.options(port)
        if sentinel:
            lines = (f"{name[2:]} {value}" for name, value in zip(tls[::2], tls[1::2], strict=True))
            configuration, tls = "\n".join([*lines, configuration]), ()
        super().__init__("redis", port, *tls, *options, configuration=configuration, sentinel=sentinel)

    def client(self) -> redis.Redis:
        trust = self.certificates.trust
        return redis.Redis(
            host="127.0.0.1", port=self.port, protocol=2, ssl=True,
            ssl_ca_certs=trust.ca_file, ssl_certfile=trust.cert_file, ssl_keyfile=trust.key_file,
        )  # fmt: skip


def sentinel(certificates: Certificates) -> tuple[list[Secure], str]:
    """A primary, its replica and a Sentinel; and the address."""
    ports = free_ports(3)
    primary = Secure(certificates, ports[0], *QUICK)
    replica = Secure(certificates, ports[1], *QUICK, "--replicaof", "127.0.0.1", str(ports[0]))
    until(lambda: replica.client().info("replication").get("master_link_status") == "up", replica.words)
    told = f"sentinel monitor {SERVICE} 127.0.0.1 {ports[0]} 1\nsentinel down-after-milliseconds {SERVICE} 300"
    watcher = Secure(certificates, ports[2], configuration=told, sentinel=True)
    until(lambda: len(_replicas(watcher)) == 1, watcher.words)
    return [watcher, primary, replica], f"rediss+sentinel://127.0.0.1:{ports[2]}/{SERVICE}"


def _replicas(watcher: Secure) -> Sequence[object]:
    return watcher.client().execute_command("SENTINEL", "REPLICAS", SERVICE)  # type: ignore[no-any-return]


def cluster(certificates: Certificates) -> tuple[list[Secure], str]:
    """Two primaries, each with half of the slots; and the address."""
    ports = free_ports(2)
    options = ("--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-node-timeout", "2000")
    nodes = [Secure(certificates, port, *options) for port in ports]
    for node, bounds in zip(nodes, ((0, 8191), (8192, 16383)), strict=True):
        node.client().execute_command("CLUSTER", "ADDSLOTSRANGE", *bounds)
    nodes[1].client().execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0])
    for node in nodes:
        until(lambda node=node: _whole(node), node.words)  # type: ignore[misc]
    return nodes, f"rediss+cluster://127.0.0.1:{ports[0]}"


def _whole(node: Secure) -> bool:
    said = node.client().execute_command("CLUSTER", "INFO")
    return b"cluster_state:ok" in said and b"cluster_slots_ok:16384" in said
