"""The catalog and the origins are hostile: nothing leaves the shelves, no inner door is knocked at, no token strays."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.stories.lying import LyingCatalog, lying_catalog
from tests.stories.machine import CANARIES, PROGRAM, Machine, peak_memory, record, safetensors, sha256
from tests.stories.mirror import client, converged
from tests.stories.origin import FaultyOrigin, Reply, Request, Thing, faulty_origin, held_at

ONE, TWO, BIG = safetensors(60_000, 1), safetensors(70_000, 2), safetensors(1_000_000, 3)
GOOD = "vae/good.safetensors"
ROOM = 300_000_000
"""Bytes that the agent may ever have resident."""


@pytest.fixture
async def lying() -> AsyncIterator[LyingCatalog]:
    async with lying_catalog() as catalog:
        yield catalog


def good(origin: FaultyOrigin) -> dict[str, Any]:
    return record("good", origin.put("good.safetensors", ONE), GOOD, ONE)


def of(lying: LyingCatalog, machine_of: Callable[..., Machine], flows: dict[str, list[str]], origin: FaultyOrigin, **more: str) -> Machine:  # fmt: skip
    lying.offer([], flows)
    return machine_of(lying.url, WORKFLOW_IDS=",".join(flows), MODEL_MANAGER_ALLOW_HOSTS=origin.host, **more)


def outside(home: Path, machine: Machine) -> set[str]:
    """Everything that is not the machine's own directory."""
    return {str(path) for path in home.rglob("*") if machine.directory not in (path, *path.parents)}


def say(machine: Machine) -> str:
    return " ".join((*machine.status()["problems"], *machine.status()["readiness"]["reasons"]))


PLACES = [
    "../climbed.safetensors", "/etc/cron.d/climbed.safetensors", "a/../../climbed.safetensors", "..\\climbed.safetensors",
    "%2e%2e/climbed.safetensors", "C:\\climbed.safetensors", "vae/nul\0.safetensors", "vae/new\nline.safetensors",
    "vae/\ud800.safetensors", "vae/\u202eexe.safetensors", f"vae/{'x' * 300}.safetensors", "vae/CON.safetensors", "vae/x.safetensors.",
    ".model_manager/x.safetensors", "models/../../climbed.safetensors", "vae/run.sh", "vae/x.part",
]  # fmt: skip


async def test_k1_places_outside_the_shelves_are_refused_listed_and_hold_up_nobody(
    home: Path, lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    url = origin.put("bad.safetensors", TWO)
    lying.offer([good(origin), record("evil", url, "models-evil/x.safetensors", TWO)], {})
    lying.offer([record(f"bad-{n}", url, place, TWO) for n, place in enumerate(PLACES)], {})
    machine = of(
        lying, machine_of, {"good": ["good", "evil"], "bad": [f"bad-{n}" for n in range(len(PLACES))]}, origin,
        COMFYUI_BASE_PATH=str(home / "comfy"),
    )  # fmt: skip
    before = outside(home, machine)
    machine.start()
    await machine.until(lambda: machine.ask("/ready/good")[0] == 200, "the others proceed")
    assert machine.files() == {GOOD: sha256(ONE), "models-evil/x.safetensors": sha256(TWO)}
    assert [place for n, place in enumerate(PLACES) if f"bad-{n}" not in say(machine)] == []
    assert outside(home, machine) == before
    await machine.until(lambda: converged(machine), "Redis says what the disk has")
    assert not list(Path("/etc/cron.d").glob("climbed*"))
    assert not machine.ready()


async def test_k2_neither_a_header_nor_an_address_gives_a_name(
    home: Path, lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async def naming(request: Request, thing: Thing, reply: Reply) -> None:
        name = "attachment; filename=\"../../climbed.safetensors\"; filename*=UTF-8''..%2Fclimbed.safetensors"
        await reply.head(200, {"Content-Length": str(len(thing.data)), "Content-Disposition": name})
        await reply.body(thing.data)

    url = origin.put("..%2f..%2fclimbed.safetensors", ONE, naming)
    lying.offer([record("good", url, GOOD, ONE)], {})
    machine = of(lying, machine_of, {"flux": ["good"]}, origin)
    before = outside(home, machine)
    machine.start()
    await machine.until_ready()
    assert machine.files() == {GOOD: sha256(ONE)}
    assert outside(home, machine) == before


async def test_k3_nothing_is_written_through_a_link_and_what_stands_in_the_way_is_said(
    home: Path, lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    url = origin.put("x.safetensors", TWO)
    places = {"through": "loras/x.safetensors", "link": "vae/link.safetensors", "directory": "vae/dir.safetensors", "fifo": "vae/fifo.safetensors"}  # fmt: skip
    lying.offer([good(origin), *(record(name, url, place, TWO) for name, place in places.items())], {})
    machine = of(lying, machine_of, {"good": ["good"], "bad": [*places]}, origin)
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    precious = elsewhere / "precious.safetensors"
    precious.write_bytes(BIG)
    (machine.store / "vae").mkdir(parents=True)
    (machine.store / "loras").symlink_to(elsewhere)
    (machine.store / "vae/link.safetensors").symlink_to(precious)
    (machine.store / "vae/dir.safetensors").mkdir()
    os.mkfifo(machine.store / "vae/fifo.safetensors")
    machine.start()
    await machine.until(lambda: machine.ask("/ready/good")[0] == 200, "the others proceed")
    await machine.until(
        lambda: machine.files().get("vae/link.safetensors") == sha256(TWO), "the link gave way to the model"
    )
    blocked = ("loras/x.safetensors", "vae/dir.safetensors", "vae/fifo.safetensors")
    await machine.until(
        lambda: all(f"{place}: failed" in say(machine) for place in blocked), "what is in the way is said"
    )
    assert precious.read_bytes() == BIG
    assert [path.name for path in elsewhere.iterdir()] == ["precious.safetensors"]
    assert not (machine.store / "vae/link.safetensors").is_symlink()
    for place in blocked[1:]:
        path = machine.store / place
        path.rmdir() if path.is_dir() else path.unlink()
    (machine.store / "loras").unlink()
    machine.ask("/reload", "POST")
    await machine.until_ready()
    assert origin.sent["/x.safetensors"] <= len(places) * len(
        TWO
    )  # what was in the way is seen when the bytes are here


async def test_k3_a_directory_that_is_swapped_for_a_link_during_the_download_leads_nowhere(
    home: Path, lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    release = asyncio.Event()
    lying.offer(
        [record("big", origin.put("big.safetensors", BIG, held_at(500_000, release)), "vae/big.safetensors", BIG)], {}
    )
    machine = of(lying, machine_of, {"flux": ["big"]}, origin)
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    (machine.store / "vae").mkdir(parents=True)
    machine.start()
    await machine.until(lambda: origin.sent["/big.safetensors"] >= 500_000, "half is here")
    (machine.store / "vae").rmdir()
    (machine.store / "vae").symlink_to(elsewhere)
    release.set()
    await machine.until(lambda: "'vae' is a link" in say(machine), "the link is said")
    assert [*elsewhere.iterdir()] == []
    assert not machine.ready()
    (machine.store / "vae").unlink()
    machine.ask("/reload", "POST")
    await machine.until_ready()
    assert origin.sent["/big.safetensors"] == len(BIG)


@contextmanager
def doorbell(*hosts: str) -> Iterator[tuple[int, list[str]]]:
    """A port on this machine, and who knocked at it."""
    knocks: list[str] = []
    listener = socket.create_server(("0.0.0.0", 0))
    listener.setblocking(False)
    loop = asyncio.get_running_loop()

    def knock() -> None:
        connection, address = listener.accept()
        knocks.append(str(address))
        connection.close()

    loop.add_reader(listener, knock)
    try:
        yield listener.getsockname()[1], knocks
    finally:
        loop.remove_reader(listener)
        listener.close()


INSIDE = [
    "http://127.0.0.1:{port}/x", "http://127.1:{port}/x", "http://2130706433:{port}/x", "http://0x7f000001:{port}/x", "http://0177.0.0.1:{port}/x",
    "http://0.0.0.0:{port}/x", "http://0:{port}/x", "http://localhost:{port}/x", "http://LOCALHOST.:{port}/x", "http://[::1]:{port}/x", "http://[::ffff:7f00:1]:{port}/x",
    "http://[::ffff:127.0.0.1]:{port}/x", "http://[64:ff9b::7f00:1]:{port}/x", "http://169.254.169.254/latest/meta-data", "http://[fd00:ec2::254]/x",
    "file:///etc/passwd", "ftp://127.0.0.1:{port}/x", "gopher://127.0.0.1:{port}/x", "http://user:pw@127.0.0.1:{port}/x", "//127.0.0.1:{port}/x",
    "http://good@127.0.0.1:{port}/x", "http://127.0.0.1:{port}\\@h.example/x", "unix:///run/docker.sock", "data:,x",
]  # fmt: skip


async def test_k4_no_door_inside_the_house_is_knocked_at(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    with doorbell() as (port, knocks):

        async def redirect(request: Request, thing: Thing, reply: Reply) -> None:
            place = [f"http://127.0.0.1:{port}/x", f"http://[::ffff:7f00:1]:{port}/", f"//0.0.0.0:{port}/", "file:///etc/passwd"][int(request.path[-1])]  # fmt: skip
            await reply.head(302, {"Location": place, "Content-Length": "0"})

        addresses = [address.format(port=port) for address in INSIDE] + [
            origin.put(f"to/{n}", b"x", redirect) for n in range(4)
        ]
        lying.offer(
            [good(origin), *(record(f"bad-{n}", url, f"vae/bad-{n}.safetensors") for n, url in enumerate(addresses))],
            {},
        )
        machine = of(lying, machine_of, {"good": ["good"], "bad": [f"bad-{n}" for n in range(len(addresses))]}, origin, MODEL_DOWNLOAD_CONCURRENCY="32")  # fmt: skip
        machine.start()
        await machine.until(lambda: machine.ask("/ready/good")[0] == 200, "the others proceed")
        await machine.until(lambda: unrefused(machine, len(addresses)) == [], "each is refused with a reason")
        assert knocks == []
        assert machine.files() == {GOOD: sha256(ONE)}


def unrefused(machine: Machine, count: int) -> list[int]:
    """Models of which nobody says that they are refused for good."""
    failed = {model["name"].partition(".")[0] for model in machine.status()["models"] if model["state"] == "failed" and "refused" in model["why"]}  # fmt: skip
    said = say(machine)
    return [n for n in range(count) if f"bad-{n}" not in failed and f"'bad-{n}'" not in said]


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


def served_by(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


async def test_k5_a_token_goes_to_its_own_host_over_tls_and_nowhere_else_whatever_a_record_says(
    home: Path, lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine], authority: trustme.CA
) -> None:
    async with faulty_origin(served_by(authority)) as hub, faulty_origin(served_by(authority)) as store:
        stored = store.put("blob", ONE)

        async def redirect(request: Request, thing: Thing, reply: Reply) -> None:
            await reply.head(302, {"Location": f"{stored}?signed", "Content-Length": "0"})

        hub.put("a/b/resolve/main/x", b"x", redirect)
        needs = {"isAuthReq": True, "authEnvVar": "HF_TOKEN"}
        aws = {"isAuthReq": True, "authEnvVar": "AWS_SECRET_ACCESS_KEY"}
        lying.offer(
            [
                record("hub", f"{hub.url}/a/b/resolve/main/x", "vae/hub.safetensors", ONE, **needs),
                record("plain", origin.put("plain", TWO), "vae/plain.safetensors", TWO, **needs),
                record("aws", origin.put("aws", BIG), "vae/aws.safetensors", BIG, **aws),
                record("other", store.put("huggingface.co/other", TWO), "vae/other.safetensors", TWO, **needs),
                record(
                    "query",
                    f"{store.url}/q?host={hub.host}&token={CANARIES['HF_TOKEN']}",
                    "vae/query.safetensors",
                    **needs,
                ),
                record("user", f"{hub.url.replace('//', '//huggingface.co@')}/x", "vae/user.safetensors", **needs),
            ],
            {},
        )
        (home / "ca.pem").write_bytes(authority.cert_pem.bytes())
        machine = of(
            lying, machine_of, {"good": ["hub", "plain", "aws", "other"], "bad": ["query", "user"]}, origin,
            MODEL_MANAGER_CA_FILE=str(home / "ca.pem"), MODEL_MANAGER_HF_HOSTS=hub.host,
            AWS_SECRET_ACCESS_KEY="awsCANARYCANARYCANARY",
        )  # fmt: skip
        machine.environ["MODEL_MANAGER_ALLOW_HOSTS"] = ",".join((origin.host, hub.host, store.host))
        machine.start()
        await machine.until(lambda: machine.ask("/ready/good")[0] == 200, "all that is honest is here")
        await machine.until(lambda: store.asked["/q"] > 0, "the query was asked for")
        assert {request.headers.get("authorization") for request in hub.seen} == {f"Bearer {CANARIES['HF_TOKEN']}"}
        for request in (*store.seen, *origin.seen):
            assert "authorization" not in request.headers
            assert "CANARY" not in f"{request}"
        assert machine.leaks() == []
        assert "awsCANARY" not in machine.log()


def hostile() -> dict[str, bytes]:
    def header(text: bytes, length: int | None = None, body: int = 10) -> bytes:
        return struct.pack("<Q", len(text) if length is None else length) + text + bytes(body)

    def tensor(*offsets: int) -> str:
        return json.dumps({"dtype": "U8", "shape": [10], "data_offsets": offsets})

    return {
        "enormous.safetensors": header(b'{"w": 1}', 2**63),
        "blank.safetensors": header(b"{" + b" " * 99_000_000),
        "deep.safetensors": header(b'{"a":' + b"[" * 2_000_000 + b"]" * 2_000_000 + b"}"),
        "lists.safetensors": header(b'{"a":[' + b"[]," * 3_000_000 + b"[]]}"),
        "twice.safetensors": header(f'{{"w": {tensor(0, 5)}, "w": {tensor(0, 10)}}}'.encode()),
        "beyond.safetensors": header(f'{{"w": {tensor(0, 2**60)}}}'.encode()),
        "overlap.safetensors": header(f'{{"w": {tensor(0, 10)}, "v": {tensor(0, 10)}}}'.encode()),
        "before.safetensors": header(f'{{"w": {tensor(-10, 10)}}}'.encode()),
        "pickle.safetensors": b"\x80\x02cos\nsystem\nX\x00\x00\x00\x00\x85R.",
        "counts.gguf": b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60) + bytes(100),
        "html.gguf": b"<!DOCTYPE html>" + bytes(100),
    }


def bomb_at(marker: Path) -> bytes:
    """A pickle that makes a file when it is loaded: builtins.open(marker, "w"). Tried once, so that its silence says something."""
    texts = b"".join(b"X" + struct.pack("<I", len(text)) + text for text in (str(marker).encode(), b"w"))
    bomb = b"\x80\x02cbuiltins\nopen\n" + texts + b"\x86R."
    loading = "import pickle, sys; pickle.load(sys.stdin.buffer)"
    subprocess.run([sys.executable, "-c", loading], input=bomb, check=True)
    marker.unlink()
    return bomb


def carriers(marker: Path) -> dict[str, bytes]:
    """Files whose loading runs code, under true names and false ones."""
    bomb = bomb_at(marker)
    torch, keras = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(torch, "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
    with zipfile.ZipFile(keras, "w") as archive:
        archive.writestr("config.json", "{}")
    return {
        "plain.ckpt": bomb, "torch.pt": torch.getvalue(), "weights.bin": bomb, "false.safetensors": bomb,
        "zipped.safetensors": torch.getvalue(), "keras.safetensors": keras.getvalue(), "seven.safetensors": b"7z\xbc\xaf\x27\x1c" + bomb,
        "both.safetensors": safetensors(1000, 1) + torch.getvalue(), "false.gguf": bomb,
    }  # fmt: skip


async def test_k6_what_carries_code_is_never_loaded_and_never_fetched_without_a_hash(
    home: Path, lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    """They lie in the directory already, with a cache that runs code when it is loaded, and the catalog offers them too."""
    marker = home / "fired"
    files = carriers(marker)
    lying.offer([good(origin)], {})
    lying.offer([record(name, origin.put(name, data), f"loras/{name}") for name, data in files.items()], {})
    machine = of(lying, machine_of, {"good": ["good"], "bad": [*files]}, origin, MODEL_DOWNLOAD_CONCURRENCY="16")
    (machine.store / "vae").mkdir(parents=True)
    for name, data in files.items():
        (machine.store / "vae" / name).write_bytes(data)
        (machine.store / "vae" / name).with_suffix(".json").write_bytes(files["plain.ckpt"])
    machine.start()
    await machine.until(lambda: machine.ask("/ready/good")[0] == 200, "the others proceed")
    await machine.until(lambda: machine.status()["inventory"]["unhashed"] == 0, "everything was read", 60)
    await machine.until(lambda: unwanted(machine) == len(files), "every download was refused or judged wrong", 60)
    assert not list((machine.store / "loras").glob("*"))
    shown = [PROGRAM[0], "model", "index", "list", "--unverified", "--json", "--state-dir", str(machine.state)]
    odd = json.loads(subprocess.run(shown, capture_output=True, check=True, text=True).stdout)
    assert {each["name"] for each in odd} == {name for name in files if name.endswith((".safetensors", ".gguf"))}
    assert not marker.exists()


def unwanted(machine: Machine) -> int:
    return sum(model["state"] in ("failed", "refused") for model in machine.status()["models"])


async def test_k7_hostile_headers_cost_bounded_memory_and_are_never_verified(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    """Some lie in the directory already, and each is offered by the catalog as well, without a hash."""
    files = hostile()
    lying.offer([good(origin)], {})
    lying.offer([record(name, origin.put(name, data), f"loras/{name}") for name, data in files.items()], {})
    machine = of(lying, machine_of, {"good": ["good"], "bad": [*files]}, origin, MODEL_DOWNLOAD_CONCURRENCY="16")
    (machine.store / "vae").mkdir(parents=True)
    for name, data in files.items():
        (machine.store / "vae" / name).write_bytes(data)
    machine.start()
    await machine.until(lambda: machine.ask("/ready/good")[0] == 200, "the others proceed")
    await machine.until(lambda: machine.status()["inventory"]["unhashed"] == 0, "everything was read", 60)
    await machine.until(lambda: failed(machine) == len(files), "every download was judged wrong, twice", 60)
    inventory = machine.status()["inventory"]
    assert (inventory["models"], inventory["verified"]) == (len(files) + 1, 1)
    assert not list((machine.store / "loras").glob("*"))
    assert not machine.ready()
    assert machine.process is not None
    assert peak_memory(machine.process.pid) < ROOM


def failed(machine: Machine) -> int:
    return sum(model["state"] == "failed" for model in machine.status()["models"])


FORGED = "x\n12:00:00 ERROR   forged\x1b[31m\u202e\r.safetensors"


async def test_k12_names_from_outside_stay_on_one_line_and_tokens_stay_unseen(
    lying: LyingCatalog, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    address = f"{origin.url}/gone.safetensors?token={CANARIES['HF_TOKEN']}&X-Signature=sigCANARY"
    lying.offer(
        [
            good(origin),
            record(FORGED, origin.url + "/x", "vae", TWO),
            record("gone", address, "vae/gone.safetensors", TWO),
        ],
        {"good": ["good"], "bad": [FORGED, "gone"], "for\x1b[2Jged": ["good"]},
    )
    machine = of(lying, machine_of, {"good": ["good"], "bad": [FORGED, "gone"], "for\x1b[2Jged": ["good"]}, origin)
    machine.start()
    await machine.until(lambda: machine.ask("/ready/good")[0] == 200, "the others proceed")
    await machine.until(lambda: "does not have" in say(machine) or "404" in say(machine), "the missing one is said")
    shown = [await said_by(machine, "status"), await said_by(machine, "plan"), machine.log()]
    logs = "".join(path.read_text() for path in (machine.state / "log").iterdir())
    for text in (*shown, logs):
        assert not any(line.startswith("12:00:00 ERROR") for line in text.splitlines())
        assert "\x1b[31m" not in text
        assert "\x1b[2J" not in text
        assert "\u202e" not in text
        assert "CANARY" not in text
    assert machine.leaks() == []
    assert all(json.loads(line) for line in logs.splitlines())
    with client(machine) as server:
        kept = b"".join(server.dump(key) or b"" for key in server.keys("*"))  # type: ignore[union-attr]
    assert b"CANARY" not in kept
    assert "CANARY" not in (machine.state / "model-manifest.json").read_text()


async def said_by(machine: Machine, command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, command, env=machine.environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode(errors="replace")
