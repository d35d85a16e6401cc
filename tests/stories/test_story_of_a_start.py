"""What a normal start tells the fleet, event by event: the story that dashboards and schedulers are built on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bus.servers import Server
from tests.stories.machine import Machine, Sampler, catalog, record, safetensors, sha256, workflow
from tests.stories.origin import FaultyOrigin, paced
from tests.stories.reader import Reader, converged

BASE, VAE, OLD = (safetensors(size, seed) for seed, size in enumerate((1_000_000, 400_000, 50_000)))


async def test_a_start_a_growing_assignment_and_a_stop_are_told_in_order(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    shop = {
        "models": [
            record("base", origin.put("base.safetensors", BASE, paced(0.01)), "models/checkpoints/base.safetensors", BASE),
            record("vae", origin.put("vae.safetensors", VAE, paced(0.01)), "vae/vae.safetensors", VAE),
        ],
        "workflows": [workflow("flux", "base"), workflow("style", "vae")],
    }  # fmt: skip
    server = Server("valkey")
    async with catalog(home / "c", shop) as url:
        machine = machine_of(
            url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host, REDIS_URL=server.url
        )  # fmt: skip
        old = machine.store / "loras/old.safetensors"
        old.parent.mkdir(parents=True)
        old.write_bytes(OLD)
        right = {"checkpoints/base.safetensors": {sha256(BASE)}, "vae/vae.safetensors": {sha256(VAE)}}
        sampler = Sampler(machine, right)
        sampler.start()
        reader = Reader(server.client())
        machine.start()
        await machine.until_ready()
        await machine.until(lambda: machine.status()["inventory"]["verified"] == 2, "the old file is read, too")
        await converged(machine, reader, server.client())
        first = len(reader.told)
        (machine.state / "assignment.json").write_text('{"workflows": ["style"]}')
        await machine.until(lambda: "style" in machine.status()["readiness"]["workflows"], "style is known")
        await machine.until_ready()
        await converged(machine, reader, server.client())
        second = len(reader.told)
        assert await machine.stop() == 0
        reader.read()
        sampler.finish()
    server.close()

    assert reader.complaints() == []
    assert reader.kinds[0] == "machine.hello"
    told = roads(reader, 0, first)
    assert told["base.safetensors"] == [
        "model.download.started", "model.appeared", "model.download.verified",
    ]  # fmt: skip
    assert told["old.safetensors"] == ["model.appeared", "model.changed"]
    assert told["readiness"] == [False, True]
    assert told["assignment"] == [["checkpoints/base.safetensors"]]
    assert before(reader, "assignment.changed", "model.download.started")
    assert before(reader, "model.download.verified", "readiness.changed", ready=True)

    told = roads(reader, first, second)
    assert told["vae.safetensors"] == ["model.download.started", "model.appeared", "model.download.verified"]
    assert told["readiness"] == [False, True]
    assert told["assignment"] == [["checkpoints/base.safetensors", "vae/vae.safetensors"]]
    assert reader.kinds[second:] == ["machine.bye"]
    flows = [data["workflows"] for data in reader.told_of("readiness.changed")]
    assert flows[-2:] == [{"flux": True, "style": False}, {"flux": True, "style": True}]
    [verified, _] = reader.told_of("model.download.verified")
    assert (verified["sha256"], verified["size"], verified["fetched"]) == (sha256(BASE), len(BASE), len(BASE))


def roads(reader: Reader, since: int, upto: int) -> dict[str, list[object]]:
    """What was told of each model, of readiness and of the assignment."""
    found: dict[str, list[object]] = {"readiness": [], "assignment": []}
    for _, _, kind, data in reader.told[since:upto]:
        if kind == "readiness.changed" and found["readiness"][-1:] != [data["ready"]]:
            found["readiness"].append(data["ready"])
        elif kind == "assignment.changed":
            found["assignment"].append(data["models"])
        elif kind.startswith("model."):
            for each in data.get("models", [data]):
                found.setdefault(each["name"], []).append(kind)
    return found


def before(reader: Reader, kind: str, later: str, **fields: object) -> bool:
    """Whether the first of a kind comes before the first of another one with these fields."""
    place = {
        (k, tuple((f, data.get(f)) for f in fields)): n for n, (_, _, k, data) in reversed([*enumerate(reader.told)])
    }
    return reader.kinds.index(kind) < place[(later, tuple(fields.items()))]
