"""Tokens, redirects and certificates: who sees the canary, and who never does."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.stories.bringing import MODEL, OTHER, STORED, Bringing, Wish
from tests.stories.machine import CANARIES, safetensors, sha256
from tests.stories.origin import Behaviour, FaultyOrigin, Reply, Request, Thing, faulty_origin

HF, CIVITAI = (f"Bearer {token}" for token in CANARIES.values())
SIGNATURE = "SIGNATURECANARY"
PATH = "/a.safetensors"


class Hosts:
    """TLS origins under one authority, which the machine trusts."""

    def __init__(self, home: Path, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.authority = trustme.CA()
        self.ca_file = home / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))
        self.origins: list[FaultyOrigin] = []

    async def origin(
        self, *names: str, authority: trustme.CA | None = None, until: datetime | None = None
    ) -> FaultyOrigin:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer = authority or self.authority
        issuer.issue_cert(*(names or ("localhost", "127.0.0.1")), not_after=until).configure_cert(context)
        self.origins.append(await self._stack.enter_async_context(faulty_origin(context)))
        return self.origins[-1]

    def environ(self, plain: FaultyOrigin, hub: list[FaultyOrigin], civitai: list[FaultyOrigin] | None = None) -> dict[str, str]:  # fmt: skip
        """`hub` and `civitai` are where the tokens belong; every origin may be asked, by name and by number."""
        numbered = [origin.host.replace("localhost", "127.0.0.1") for origin in self.origins]
        return {
            "MODEL_MANAGER_CA_FILE": str(self.ca_file),
            "MODEL_MANAGER_ALLOW_HOSTS": ",".join([plain.host, *numbered, *(origin.host for origin in self.origins)]),
            "MODEL_MANAGER_HF_HOSTS": ",".join(origin.host for origin in hub),
            "MODEL_MANAGER_CIVITAI_HOSTS": ",".join(origin.host for origin in civitai or []) or "civitai.com",
        }


@pytest.fixture
def hosts(home: Path, bringing: Bringing) -> Hosts:
    return Hosts(home, bringing.stack)


def numbered(origin: FaultyOrigin) -> str:
    """The same origin under another authority: 127.0.0.1 instead of localhost."""
    return origin.url.replace("localhost", "127.0.0.1")


def redirect(to: str, **headers: str) -> Behaviour:
    async def behave(request: Request, thing: Thing, reply: Reply) -> None:
        said = {key.replace("_", "-"): value for key, value in headers.items()}
        await reply.head(302, {"Location": to, "Content-Length": "0"} | said)

    return behave


def shown(origin: FaultyOrigin) -> set[str | None]:
    """The Authorization headers that an origin saw."""
    return {request.headers.get("authorization") for request in origin.seen}


async def test_b12_a_gated_model_is_asked_for_rarely_until_the_token_is_changed(
    bringing: Bringing, hosts: Hosts, home: Path
) -> None:
    async def gated(request: Request, thing: Thing, reply: Reply) -> None:
        if request.headers.get("authorization") == HF:
            await reply.honest(request, thing)
        else:
            await reply.head(403, {"X-Error-Code": "GatedRepo", "Content-Length": "0"})

    hub = await hosts.origin()
    token = home / "token"
    token.touch(mode=0o600)
    token.write_text(f"{CANARIES['HF_TOKEN']}OLD\n")
    url = hub.put("org/repo/resolve/main/a.safetensors", MODEL, gated)
    began = datetime.now(UTC)
    other = Wish(name="b", served=OTHER, right=OTHER)
    environ = hosts.environ(bringing.origin, [hub]) | {"HF_TOKEN": "", "HF_TOKEN_FILE": str(token)}
    machine = await bringing.bring(Wish(url=url), other, **environ)
    told = await bringing.until_told("the model is gated: accept its licence at", phase="failed")
    assert "Set HF_TOKEN (or HF_TOKEN_FILE) and reload" in told["why"]
    assert datetime.fromisoformat(told["retry_at"]) - began >= timedelta(seconds=60)
    await machine.until(lambda: other.file in machine.files(), "the other model is here")
    assert len(hub.seen) == 1
    token.write_text(f"{CANARIES['HF_TOKEN']}\n")
    assert machine.ask("/reload", "POST")[1]["accepted"] is True
    await bringing.brought()
    assert [request.headers["authorization"] for request in hub.seen] == [f"{HF}OLD", HF]


async def test_b13_a_signed_address_that_expires_is_resolved_again_and_the_partial_kept(
    bringing: Bringing, hosts: Hosts
) -> None:
    """The hub redirects to a store; the second signature is dead on arrival."""
    hub, store = await hosts.origin(), await hosts.origin()
    signed = f"{numbered(store)}{PATH}?sig={SIGNATURE}-"

    async def front(request: Request, thing: Thing, reply: Reply) -> None:
        said = {"X_Linked_Etag": f'"{sha256(MODEL)}"', "X_Linked_Size": str(len(MODEL))}
        await redirect(f"{signed}{request.n}", **said)(request, thing, reply)

    async def signatures(request: Request, thing: Thing, reply: Reply) -> None:
        if request.target.endswith("-1"):
            await bringing.cut()(request, thing, reply)
        elif request.target.endswith("-2"):
            await reply.head(403, {"Content-Length": "0"})
        else:
            await reply.honest(request, thing)

    store.put(PATH, MODEL, signatures)
    url = hub.put("org/repo/resolve/main/a.safetensors", MODEL, front)
    machine = await bringing.bring(Wish(url=url, pinned=False), **hosts.environ(bringing.origin, [hub]))
    await bringing.brought()
    assert [request.target[-2:] for request in store.seen] == ["-1", "-2", "-3"]
    assert bringing.starts(origin=store)[2] >= STORED
    assert store.sent[PATH] <= len(MODEL) + len(MODEL) - STORED
    assert (shown(hub), shown(store)) == ({HF}, {None})
    assert machine.status()["models"][0]["evidence"] == "origin"
    assert not [path for path in machine.state.rglob("*") if path.is_file() and SIGNATURE.encode() in path.read_bytes()]
    assert SIGNATURE not in machine.log()


async def test_b14_redirects_are_bounded_and_carry_no_secret_to_another_host(bringing: Bringing, hosts: Hosts) -> None:
    hub, civitai, foreign = await hosts.origin(), await hosts.origin(), await hosts.origin()
    data = {
        name: safetensors(300_000, 40 + n) for n, name in enumerate(["home", "shop", "evil", "loop", "hops", "user"])
    }
    cookie = {"Set_Cookie": "session=1; Path=/", "X_Custom": "1"}
    for name in ("home", "shop", "evil"):
        foreign.put(f"{name}.safetensors", data[name])
    for n in range(12):
        hub.put(f"hop{n}", b"", redirect(f"{hub.url}/hop{n + 1}"))
    behaviours = {
        "home": (hub, redirect(f"{numbered(foreign)}/home.safetensors", **cookie)),
        "shop": (civitai, redirect(f"{foreign.url}/shop.safetensors?token=x", **cookie)),
        "loop": (hub, redirect(f"{hub.url}/loop.safetensors")),
        "hops": (hub, redirect(f"{hub.url}/hop0")),
        "user": (hub, redirect(f"{foreign.url.replace('://', '://name:password@')}/home.safetensors")),
    }
    urls = {name: origin.put(f"{name}.safetensors", b"", behaviour) for name, (origin, behaviour) in behaviours.items()}
    urls["evil"] = f"{foreign.url}/evil.safetensors"
    asking: dict[str, Any] = {"isAuthReq": True, "authEnvVar": "HF_TOKEN"}
    wishes = [Wish(name=name, right=data[name], url=urls[name], more=asking) for name in data]
    machine = await bringing.bring(*wishes, **hosts.environ(bringing.origin, [hub], [civitai]))
    refused = {"loop": "it redirects in a circle", "hops": "more than 10 times", "user": "contains a user name"}
    for name, why in refused.items():
        told = await bringing.until_told(why, name, "failed")
        assert told["retry_at"]
    await machine.until(lambda: len(machine.files()) == 3, "the three others are here")
    assert (shown(hub), shown(civitai), shown(foreign)) == ({HF}, {CIVITAI}, {None})
    assert not [request for request in foreign.seen if {"cookie", "x-custom", "referer"} & request.headers.keys()]
    assert sum(count for path, count in hub.asked.items() if path.startswith("/hop")) <= 11
    assert "password" not in machine.log()
    for name in refused:
        hub.put(f"{name}.safetensors", data[name])
        del hub.behaviours[f"/{name}.safetensors"]
    machine.ask("/reload", "POST")
    await bringing.brought()


async def test_a9_certificates_are_checked_and_no_step_leads_from_https_to_http(
    bringing: Bringing, hosts: Hosts
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    expired, elsewhere = await hosts.origin(until=yesterday), await hosts.origin("models.example.com")
    unknown, downgrading = await hosts.origin(authority=trustme.CA()), await hosts.origin()
    data = {name: safetensors(300_000, 50 + n) for n, name in enumerate(["old", "host", "ca", "http", "plain"])}
    down = redirect(bringing.origin.put("secret.safetensors", data["http"]))
    urls = {
        "old": expired.put("old.safetensors", data["old"]),
        "host": elsewhere.put("host.safetensors", data["host"]),
        "ca": unknown.put("ca.safetensors", data["ca"]),
        "http": downgrading.put("http.safetensors", data["http"], down),
        "plain": bringing.origin.put("plain.safetensors", data["plain"]),
    }
    wishes = [Wish(name=name, right=right, url=urls[name]) for name, right in data.items()]
    environ = hosts.environ(bringing.origin, [*hosts.origins, bringing.origin])
    machine = await bringing.bring(*wishes, **environ)
    for name, why in {
        "old": "its certificate has expired",
        "host": "its certificate is for another host",
        "ca": "its certificate",
        "http": "a redirect leads from https to http",
    }.items():
        await bringing.until_told(why, name)
    await machine.until(lambda: set(machine.files()) == {"checkpoints/plain.safetensors"}, "http without secrets works")
    assert [origin.seen for origin in (expired, elsewhere, unknown)] == [[], [], []]
    assert bringing.origin.asked["/secret.safetensors"] == 0
    assert (shown(downgrading), shown(bringing.origin)) == ({HF}, {None})
    bringing.holds()
