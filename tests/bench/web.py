"""The pages and their API with 50,000 models on 500 machines: until a page can be used, while it scrolls, 200 requests a second,
and 1,000 listeners. Needs chromium on the PATH; without it the rows of the browser are left out.

The peer of the API is a bare aiohttp server that answers the same questions with as many bytes, and computes nothing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import psutil
from aiohttp import web
from redis.asyncio import Redis

from model_manager.bus.connection import connect
from model_manager.bus.publishing import Bus
from model_manager.facts.event import Entry
from model_manager.facts.identity import MachineId
from model_manager.fleet.store import Store
from tests.bench.row import Row
from tests.bus.servers import Server
from tests.bus.telling import Teller, entry

if TYPE_CHECKING:
    from playwright.async_api import Page

EACH = 3
"""Machines that have a model."""

FOLDERS = ("checkpoints", "loras", "vae", "controlnet", "text_encoders")
PATHS = (
    "/fleet",
    "/machines?limit=50",
    "/models?limit=50",
    "/search?q=model%20049&limit=50",
    "/matrix?limit=50&mlimit=100",
    "/health",
)
RATE = 200

CHANGES = 100
"""Of models a second, while questions are asked under churn."""

BASES = ("SDXL", "SD 1.5", "Pony", "Flux", "Illustrious")
FILTERED = {
    "type": "type=lora", "base": "base={base}", "tag": "tag=word-{n}", "below a directory": "under={folder}/set{k}",
    "duplicates": "duplicates=true", "updates": "updates=true", "conflicting": "conflicting=true", "verified": "verified=false",
    "on one machine": "single=true", "words": "q=model-{n:03d}", "words and base": "q=set{k}&base={base}",
}  # fmt: skip
"""Filter → its question, which changes with every request where it can."""

ORDERS = (
    "sort=size", "sort=used&descending=true", "sort=copies&descending=true", "sort=added", "sort=bytes&type=lora",
    "sort=name&descending=true&q=set{k}",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Size:
    models: int
    machines: int
    seconds: float
    settle: float
    """Seconds after the start in which the aggregator makes what people ask for most, little by little."""
    listeners: int
    opened: int


FULL = Size(models=50_000, machines=500, seconds=10.0, settle=15.0, listeners=1_000, opened=3)
SMOKE = Size(models=200, machines=5, seconds=0.5, settle=0.0, listeners=5, opened=1)


def run(smoke: bool) -> Iterator[Row]:
    yield from asyncio.run(_measured(SMOKE if smoke else FULL))


async def _measured(size: Size) -> list[Row]:
    server = Server("valkey")
    redis = connect(server.url, timeout=60)
    try:
        players = await _introduce(redis, size)
        async with _aggregator(server.url) as url, aiohttp.ClientSession() as session:
            await _exact(session, url, size)
            rows = await _looked(url, size) if shutil.which("chromium") else []
            rows += await _asked(session, url, size)
            rows += await _listened(url, players[0], size)
        with tempfile.TemporaryDirectory() as state:
            await _told(Path(state), size)
            async with _aggregator(server.url, state) as url, aiohttp.ClientSession() as session:
                await _exact(session, url, size)
                await asyncio.sleep(size.settle)
                rows += await _filtered(session, url, size)
                async with _churned(server.url, CHANGES):
                    rows += await _under_churn(session, url, size)
        return rows
    finally:
        await redis.aclose()
        server.close()


async def _introduce(redis: Redis, size: Size) -> list[tuple[Bus, Teller]]:
    held: list[list[Entry]] = [[] for _ in range(size.machines)]
    for n in range(size.models):
        each = entry(f"set{n % 40}/model-{n:05d}.safetensors", FOLDERS[n % len(FOLDERS)], size=10**9 + n)
        for k in range(EACH):
            held[(n + 7 * k) % size.machines].append(each)
    return [await _machine(redis, f"gpu-{n:03d}", entries) for n, entries in enumerate(held)]


async def _told(state: Path, size: Size) -> None:
    """What people told of every model: its base model, words, and CivitAI's numbers. Machines tell the same in lists of their own."""
    store = Store(state / "fleet.sqlite")
    fields = {
        f"{FOLDERS[n % len(FOLDERS)]}/set{n % 40}/model-{n:05d}.safetensors": {
            "civitai_model_base": BASES[n % len(BASES)], "civitai_trained_words": f'["word-{n % 500}", "blue"]', "civitai_id": str(n // 3 + 1),
            "civitai_version_id": str(n + 1),
        }
        for n in range(size.models)
    }  # fmt: skip
    await store.tell_all("civitai", fields)
    await store.close()


async def _filtered(session: aiohttp.ClientSession, url: str, size: Size) -> list[Row]:
    """All filters in turns; and each by itself, its many questions at once, with the processor's time that the aggregator takes for
    an answer."""
    async with session.get(f"{url}/facets") as answer:
        assert answer.status == 200
    questions = tuple(FILTERED.values())
    took = await _paced(session, url, size, lambda n: _filter(questions[n % len(questions)], n // len(questions)))
    case = f"answer at {RATE} requests/s, all filters in turns"
    rows = [
        Row(bench="web", case=f"{case}, p50", ours=round(1000 * took[49], 2), unit="ms"),
        Row(bench="web", case=f"{case}, p99", ours=round(1000 * took[98], 2), unit="ms", goal=20),
    ]
    took = await _paced(session, url, size, lambda n: _filter(ORDERS[n % len(ORDERS)], n // len(ORDERS)))
    case = f"answer at {RATE} requests/s, each order in turns, p99"
    rows.append(Row(bench="web", case=case, ours=round(1000 * took[98], 2), unit="ms", goal=20))
    for name, question in FILTERED.items():
        before = _spent()
        took = await _paced(session, url, replace(size, seconds=size.seconds / 4), partial(_filter, question))
        each = 1000 * (_spent() - before) / (RATE * size.seconds / 4)
        case = f"filter at {RATE} requests/s: {name}"
        rows += [
            Row(bench="web", case=f"{case}, p99", ours=round(1000 * took[98], 2), unit="ms"),
            Row(bench="web", case=f"{case}, processor time of an answer", ours=round(each, 2), unit="ms"),
        ]
    return rows


async def _under_churn(session: aiohttp.ClientSession, url: str, size: Size) -> list[Row]:
    questions = (*FILTERED.values(), *ORDERS)
    asks = {
        "the same questions": _same,
        "each question another one": _another,
        "all filters and orders in turns": lambda n: _filter(questions[n % len(questions)], n // len(questions)),
    }
    rows = []
    for name, path in asks.items():
        took = await _paced(session, url, size, path)
        case = f"answer at {RATE} requests/s under churn of {CHANGES} changes/s, {name}"
        rows += [
            Row(bench="web", case=f"{case}, p50", ours=round(1000 * took[49], 2), unit="ms"),
            Row(bench="web", case=f"{case}, p99", ours=round(1000 * took[98], 2), unit="ms", goal=20),
        ]
    rows.append(Row(bench="web", case="memory of the aggregator after that", ours=round(_memory() / 2**20), unit="MiB"))
    return rows


@asynccontextmanager
async def _churned(redis_url: str, changes: int) -> AsyncIterator[None]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.aggregating.churning",
        redis_url,
        str(changes),
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        assert await child.stdout.readline() == b"ready\n"
        yield
    finally:
        child.kill()
        await child.wait()


def _memory() -> int:
    return int(_aggregating().memory_info().rss)


def _aggregating() -> psutil.Process:
    return next(each for each in psutil.Process().children() if "fleet" in each.cmdline())


def _spent() -> float:
    """Seconds of processor time that the aggregator took since its start."""
    times = _aggregating().cpu_times()
    return float(times.user + times.system)


def _filter(question: str, n: int) -> str:
    words = {
        "base": BASES[n % len(BASES)].replace(" ", "%20"),
        "n": n % 500,
        "k": n % 40,
        "folder": FOLDERS[n % len(FOLDERS)],
    }
    return f"/search?limit=50&offset={n % 20}&{question.format(**words)}"


async def _machine(redis: Redis, name: str, entries: list[Entry]) -> tuple[Bus, Teller]:
    teller = Teller(name)
    teller.held = {each.path: each for each in entries}
    bus = Bus(redis, MachineId.parse(name), name, "", 10**7, 600.0)
    await bus.beat(teller.beat(installation=name), {})
    await bus.snapshot(teller.snapshot(), teller.entries)
    teller.outbox.clear()
    return bus, teller


@asynccontextmanager
async def _aggregator(redis_url: str, state: str = "") -> AsyncIterator[str]:
    environment = {**os.environ, "REDIS_URL": redis_url, "MODEL_MANAGER_FLEET_PORT": "0"}
    environment |= {"MODEL_MANAGER_STATE_DIR": state} if state else {}
    child = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("model-manager")), "fleet", "serve",
        env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert child.stderr is not None
    try:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            url = await group.create_task(_address(child.stderr))
        async with asyncio.TaskGroup() as group:
            rest = group.create_task(child.stderr.read())
            yield url
            rest.cancel()
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def _address(words: asyncio.StreamReader) -> str:
    while line := (await words.readline()).decode():
        if line.startswith("fleet at "):
            return line.split()[-1]
    raise RuntimeError("the aggregator does not start: run model-manager fleet serve")


async def _exact(session: aiohttp.ClientSession, url: str, size: Size) -> None:
    while True:
        async with session.get(url + "/fleet") as answer:
            fleet = await answer.json()
        if fleet["exact"] and fleet["models"]["distinct"] >= size.models:
            return
        await asyncio.sleep(0.2)


WATCH = """
window.long = [];
new PerformanceObserver((list) => list.getEntries().forEach((e) => window.long.push(e.duration))).observe({type: 'longtask', buffered: true});
window.usable = new Promise((seen) => new MutationObserver((_, me) => {
  if (document.querySelector('.cell, .rows-body a, .card a')) { me.disconnect(); requestAnimationFrame(() => seen(performance.now())); }
}).observe(document, {subtree: true, childList: true}));
"""

SCROLL = """async (selector) => {
  const box = document.querySelector(selector);
  window.long.length = 0;
  for (let n = 0; n < 180; n += 1) {
    box.scrollTop += 400;
    if (box.scrollWidth > box.clientWidth) box.scrollLeft = 40 * (n % 90);
    await new Promise(requestAnimationFrame);
  }
  await new Promise((wake) => setTimeout(wake, 300));
  return Math.max(0, ...window.long);
}"""

TYPE = """async () => {
  const field = document.querySelector('input[type=search]');
  const begun = performance.now();
  field.value = 'model 04999';
  field.dispatchEvent(new Event('input', {bubbles: true}));
  while (!(document.querySelector('.rows-body a')?.textContent ?? '').includes('04999')) await new Promise(requestAnimationFrame);
  return performance.now() - begun;
}"""


async def _looked(url: str, size: Size) -> list[Row]:
    from playwright.async_api import async_playwright

    case = f"{size.models:,} models × {size.machines} machines"
    views = {"/ui/": ".cards", "/ui/matrix": ".matrix", "/ui/models": ".cards", "/ui/models?as=table": ".rows"}
    rows: list[Row] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for view, box in views.items():
            usable, long, busy = [], [], []
            for _ in range(size.opened):
                page = await (await browser.new_context()).new_page()
                await page.add_init_script(WATCH)
                await page.goto(url + view)
                usable.append(await page.evaluate("() => window.usable"))
                long.append(await page.evaluate(SCROLL, box))
                busy.append(await _busiest(page, box))
                await page.context.close()
            rows.append(
                Row(
                    bench="web",
                    case=f"{view} until it can be used, {case}",
                    ours=round(statistics.median(usable)),
                    unit="ms",
                    goal=1000,
                )
            )
            rows.append(
                Row(
                    bench="web",
                    case=f"{view} longest task while it scrolls",
                    ours=round(statistics.median(long)),
                    unit="ms",
                    goal=50,
                )
            )
            rows.append(
                Row(
                    bench="web",
                    case=f"{view} longest task while it scrolls, processor time",
                    ours=round(statistics.median(busy)),
                    unit="ms",
                    goal=50,
                )
            )
        page = await (await browser.new_context()).new_page()
        await page.add_init_script(WATCH)
        await page.goto(url + "/ui/models?as=table")
        await page.evaluate("() => window.usable")
        if size is FULL:
            rows.append(
                Row(
                    bench="web",
                    case="a search, from the last letter to its row",
                    ours=round(await page.evaluate(TYPE)),
                    unit="ms",
                    goal=1000,
                )
            )
        await browser.close()
    return rows


async def _busiest(page: Page, box: str) -> float:
    """Milliseconds of processor time of the longest task while the view scrolls up and down again: other programs on this
    host do not count, the tracing itself does."""
    session = await page.context.new_cdp_session(page)
    tasks: list[dict[str, Any]] = []
    over = asyncio.Event()
    session.on("Tracing.dataCollected", lambda data: tasks.extend(data["value"]))
    session.on("Tracing.tracingComplete", lambda _: over.set())
    categories = ["disabled-by-default-devtools.timeline", "devtools.timeline"]
    chosen = {"transferMode": "ReportEvents", "traceConfig": {"includedCategories": categories}}
    await page.evaluate("(box) => { document.querySelector(box).scrollTop = 0; }", box)
    await session.send("Tracing.start", chosen)
    await page.evaluate(SCROLL, box)
    await session.send("Tracing.end")
    async with asyncio.timeout(60):
        await over.wait()
    threads = [(each["pid"], each["tid"]) for each in tasks if each["name"] == "FireAnimationFrame"]
    main = statistics.mode(threads)
    return max(
        each.get("tdur", 0) / 1000
        for each in tasks
        if each["name"].endswith("RunTask") and (each["pid"], each["tid"]) == main
    )


async def _asked(session: aiohttp.ClientSession, url: str, size: Size) -> list[Row]:
    lengths = {}
    for path in PATHS:
        async with session.get(url + path) as answer:
            lengths[path] = len(await answer.read())
    ours = await _paced(session, url, size)
    each = await _paced(session, url, size, _another)
    async with _bare(lengths) as bare:
        peer = await _paced(session, bare, size)
    return [*_rows("the same questions", ours, peer), *_rows("each question another one", each, peer)]


def _rows(asked: str, ours: list[float], peer: list[float]) -> list[Row]:
    name = f"answer at {RATE} requests/s, {asked}"
    return [
        Row(bench="web", case=f"{name}, p50", ours=round(1000 * ours[49], 2), peer=round(1000 * peer[49], 2), unit="ms"),
        Row(bench="web", case=f"{name}, p99", ours=round(1000 * ours[98], 2), peer=round(1000 * peer[98], 2), unit="ms", goal=20),
    ]  # fmt: skip


def _same(n: int) -> str:
    return PATHS[n % len(PATHS)]


def _another(n: int) -> str:
    """What nobody asked before, as far as the route allows it."""
    of = n // len(PATHS)
    return (
        "/fleet",
        f"/machines?limit=50&q=gpu-{of % 50:02d}",
        f"/models?limit=50&q=model-{of % 500:03d}",
        f"/search?q=model%20{of % 1000:03d}&limit=50",
        f"/matrix?limit=50&mlimit=100&offset={of}",
        "/health",
    )[n % len(PATHS)]


async def _paced(
    session: aiohttp.ClientSession, url: str, size: Size, path: Callable[[int], str] = _same
) -> list[float]:
    """Percentiles of seconds, each from when it was due: who is late is not forgiven."""
    took: list[float] = []

    async def ask(path: str, due: float) -> None:
        async with session.get(url + path) as answer:
            await answer.read()
            assert answer.status == 200, path
        took.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        begun = time.perf_counter()
        for n in range(int(RATE * size.seconds)):
            due = begun + n / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(ask(path(n), due))
    return statistics.quantiles(took, n=100)


@asynccontextmanager
async def _bare(lengths: dict[str, int]) -> AsyncIterator[str]:
    bodies = {path: b"x" * length for path, length in lengths.items()}

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=bodies[request.raw_path])

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _listened(url: str, machine: tuple[Bus, Teller], size: Size) -> list[Row]:
    """From the publication of an event until the last of all listeners has it."""
    bus, teller = machine
    heard: list[float] = []
    ready = asyncio.Semaphore(0)
    connector = aiohttp.TCPConnector(limit=0)

    async def listen(session: aiohttp.ClientSession) -> None:
        async with session.get(f"{url}/events/stream?kind=model.appeared") as answer:
            assert answer.status == 200
            await answer.content.readline()
            ready.release()
            async for line in answer.content:
                if line.startswith(b"event: model.appeared"):
                    heard.append(time.perf_counter())
                    return

    timeout = aiohttp.ClientTimeout(60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as group:
        for _ in range(size.listeners):
            group.create_task(listen(session))
        for _ in range(size.listeners):
            await ready.acquire()
        teller.appear(entry("brand-new.safetensors"))
        begun = time.perf_counter()
        await bus.publish(teller.outbox)
    spent = max(heard) - begun
    return [
        Row(
            bench="web",
            case=f"an event until the last of {size.listeners:,} listeners has it",
            ours=round(spent * 1000),
            unit="ms",
            goal=1000,
        )
    ]
