from __future__ import annotations

import asyncio
import os
import threading

import pytest

from model_manager.errors import BadRecord, CatalogUnavailable, CatalogUnreachable, NotFound
from model_manager.facts.identity import Pin
from model_manager.facts.model import (
    Assignment,
    CollectionRecord,
    Model,
    Size,
    Source,
    Undescribed,
    WorkflowRecord,
)
from model_manager.facts.shelf import ShelfPath
from model_manager.sources import catalog_cache
from model_manager.sources.catalog_cache import CachedCatalog

AWAY = CatalogUnreachable(host="catalog:80", why="it cannot be connected to")


def model(name: str, *depends: str, **changes) -> Model:
    return Model(
        name=name,
        path=ShelfPath(folder="vae", name=name),
        sources=(Source(url=f"https://h.example/{name}", token="HF_TOKEN"),),
        size=Size(bytes=5, exact=True),
        pin=Pin.parse("a" * 64),
        depends=depends,
        **changes,
    )


class Answers:
    """A catalog that says what it is told to; `asked` are the names of each question."""

    host = "catalog:80"

    def __init__(self) -> None:
        self.known = {
            "c": CollectionRecord(id="c", workflows=("w", "v")),
            "w": WorkflowRecord(name="w", models=("a.pt",), optional=("b.pt",), inline=(model("i.pt"),)),
            "v": WorkflowRecord(name="v"),
            "a.pt": model("a.pt", "d.pt"),
            "b.pt": model("b.pt"),
            "d.pt": model("d.pt", "a.pt"),
        }
        self.asked: list[list[str]] = []

    async def _answer(self, names):
        self.asked.append(list(names))
        return {name: self.known.get(name, NotFound(where="the catalog", name=name)) for name in names}

    workflows = collections = models = _answer


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def times() -> list[str]:
    return ["2026-01-01T10:00:00.000Z"]


class Patient(CachedCatalog):
    """Waits until everything is kept, as no agent does."""

    async def describe(self, assignment):
        described = await super().describe(assignment)
        await self.kept()
        return described


@pytest.fixture
def make(answers, times, tmp_path):
    return lambda: Patient(answers, tmp_path / "cache", lambda: times[-1])


ASSIGNMENT = Assignment(collections=("c",), models=("a.pt",))


async def test_an_assignment_is_described_with_all_that_it_needs(make, answers):
    described = await make().describe(ASSIGNMENT)
    assert [item.id for item in described.collections] == ["c"]
    assert [item.name for item in described.workflows] == ["w", "v"]
    assert {name for name, item in described.models if isinstance(item, Model)} == {"a.pt", "b.pt", "d.pt", "i.pt"}
    assert (described.stale, described.doubts, described.described_at) == (False, (), "2026-01-01T10:00:00.000Z")


async def test_dependencies_that_go_in_a_circle_end(make, answers):
    await make().describe(ASSIGNMENT)
    assert [names for names in answers.asked if "d.pt" in names] == [["d.pt"]]


async def test_a_chain_without_end_is_a_problem_and_not_a_smaller_set(make, answers):
    answers.known |= {f"{n}.pt": model(f"{n}.pt", f"{n + 1}.pt") for n in range(100)}
    described = await make().describe(Assignment(models=("0.pt",)))
    last = dict(described.models)[f"{catalog_cache.MAX_DEPTH}.pt"]
    assert isinstance(last, Undescribed)


async def test_f5_more_models_than_the_limit_are_a_problem(make, monkeypatch):
    monkeypatch.setattr(catalog_cache, "MAX_MODELS", 2)
    described = await make().describe(Assignment(models=("1.pt", "2.pt", "3.pt")))
    assert all(isinstance(item, Undescribed) and "more than 2" in item.why for _, item in described.models)


async def test_f1_away_without_a_cache_everything_is_undescribed_and_nothing_is_empty(make, answers):
    answers.known = dict.fromkeys(("c", "w", "a.pt"), AWAY)
    described = await make().describe(Assignment(collections=("c",), workflows=("w",), models=("a.pt",)))
    assert [type(item) for item in (*described.collections, *described.workflows)] == [Undescribed, Undescribed]
    assert isinstance(described.models[0][1], Undescribed)
    assert not described.models[0][1].missing


async def test_f2_away_with_a_cache_the_last_answer_stands_in_with_its_age(make, answers, times):
    before = await make().describe(ASSIGNMENT)
    answers.known = dict.fromkeys(answers.known, AWAY)
    times.append("2026-01-02T10:00:00.000Z")
    after = await make().describe(ASSIGNMENT)
    assert (after.collections, after.workflows, after.models) == (before.collections, before.workflows, before.models)
    assert (after.stale, after.described_at) == (True, "2026-01-01T10:00:00.000Z")
    assert all("stands in" in doubt for doubt in after.doubts)
    assert len(after.doubts) == 6


@pytest.mark.parametrize(
    "error",
    [CatalogUnavailable(host="c", why="its answer is empty"), BadRecord(name="w", why="it lists no models"), NotFound(where="c", name="w")],
    ids=["unavailable", "malformed", "gone"],
)  # fmt: skip
async def test_f4_what_one_workflow_needs_is_never_forgotten(make, answers, times, error):
    cached = make()
    before = await cached.describe(ASSIGNMENT)
    answers.known["w"] = error
    times.append("2026-01-01T11:00:01.000Z")
    after = await cached.describe(ASSIGNMENT)
    assert (after.workflows, after.models) == (before.workflows, before.models)
    assert after.stale
    assert len(after.doubts) == 1
    assert after.doubts[0].startswith("workflow 'w':")


async def test_an_unknown_workflow_is_missing_and_says_so(make):
    described = await make().describe(Assignment(workflows=("nope",)))
    assert described.workflows[0].missing
    assert "does not have 'nope'" in described.workflows[0].why


async def test_a_new_answer_replaces_the_old_one_at_once(make, answers, times):
    cached = make()
    await cached.describe(ASSIGNMENT)
    answers.known["v"] = WorkflowRecord(name="v", models=("b.pt",))
    await cached.describe(ASSIGNMENT)
    answers.known["v"] = AWAY
    after = await make().describe(ASSIGNMENT)
    assert after.workflows[1].models == ("b.pt",)


async def test_an_unchanged_answer_is_written_once_an_hour(make, times, tmp_path):
    cached = make()

    async def written(at: str) -> set[str]:
        times.append(at)
        await cached.describe(ASSIGNMENT)
        return {file.read_text().split('"at":"')[1][:24] for file in (tmp_path / "cache").iterdir()}

    assert await written("2026-01-01T10:00:00.000Z") == {"2026-01-01T10:00:00.000Z"}
    assert await written("2026-01-01T10:59:00.000Z") == {"2026-01-01T10:00:00.000Z"}
    assert await written("2026-01-01T11:00:01.000Z") == {"2026-01-01T11:00:01.000Z"}


@pytest.mark.parametrize("damage", [b"", b"garbage", b"{}", b"[]", b'{"format":99}', b"{" * 5000, b"\0" * 100])
async def test_a_damaged_file_is_told_and_ignored(make, answers, tmp_path, damage):
    await make().describe(ASSIGNMENT)
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(damage)
    answers.known = dict.fromkeys(answers.known, AWAY)
    described = await make().describe(ASSIGNMENT)
    assert all(isinstance(item, Undescribed) for item in described.collections)
    assert any("cannot be used" in doubt for doubt in described.doubts)


async def test_k1_a_tampered_path_does_not_get_in_through_the_cache(make, answers, tmp_path):
    await make().describe(ASSIGNMENT)
    for file in (tmp_path / "cache").iterdir():
        file.write_text(file.read_text().replace('"name":"a.pt"},"sources"', '"name":"../../a.pt"},"sources"'))
    answers.known["a.pt"] = AWAY
    described = await make().describe(Assignment(models=("a.pt",)))
    assert isinstance(described.models[0][1], Undescribed)


async def test_a_file_of_another_format_is_not_read(make, answers, tmp_path):
    await make().describe(ASSIGNMENT)
    for file in (tmp_path / "cache").iterdir():
        file.write_text(file.read_text().replace('"format":1', '"format":2'))
    answers.known = dict.fromkeys(answers.known, AWAY)
    assert isinstance((await make().describe(ASSIGNMENT)).collections[0], Undescribed)


async def test_another_catalogs_words_do_not_stand_in(make, answers):
    await make().describe(ASSIGNMENT)
    answers.known = dict.fromkeys(answers.known, AWAY)
    answers.host = "other:80"
    assert isinstance((await make().describe(ASSIGNMENT)).collections[0], Undescribed)


async def test_a_cache_that_cannot_be_written_is_only_a_doubt(answers, tmp_path):
    (tmp_path / "file").write_text("")
    cached = CachedCatalog(answers, tmp_path / "file" / "cache")
    await cached.describe(ASSIGNMENT)
    described = await cached.describe(ASSIGNMENT)
    assert described.workflows[0].models == ("a.pt",)
    assert not described.stale
    assert any("cannot be kept" in doubt for doubt in described.doubts)


async def test_no_half_written_file_is_left(make, tmp_path):
    await make().describe(ASSIGNMENT)
    assert {file.suffix for file in (tmp_path / "cache").iterdir()} == {".json"}


async def test_c4_what_the_disk_refuses_to_keep_is_told_at_the_next_look(make, monkeypatch):
    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(catalog_cache.os, "fsync", refuse)
    cached = make()
    assert (await cached.describe(ASSIGNMENT)).doubts == ()
    again = await cached.describe(ASSIGNMENT)
    assert "cannot be kept" in again.doubts[0]
    assert "Input/output error" in again.doubts[0]
    assert not again.stale


async def test_c7_nobody_waits_for_a_disk_that_keeps_what_is_new(answers, tmp_path, monkeypatch):
    asked, go = threading.Event(), threading.Event()

    def slow(_: int) -> None:
        asked.set()
        go.wait(30)

    monkeypatch.setattr(catalog_cache.os, "fsync", slow)
    cached = CachedCatalog(answers, tmp_path / "cache")
    await cached.describe(ASSIGNMENT)
    assert await asyncio.to_thread(asked.wait, 30)
    assert list((tmp_path / "cache").glob("*.json")) == []
    go.set()
    await cached.kept()
    assert len(list((tmp_path / "cache").glob("*.json"))) == 6


async def test_the_oldest_descriptions_go_when_there_are_too_many(make, monkeypatch, tmp_path):
    cached = make()
    await cached.describe(ASSIGNMENT)
    for number, file in enumerate(sorted((tmp_path / "cache").iterdir())):
        os.utime(file, (number, number))
    monkeypatch.setattr(catalog_cache, "MAX_FILES", 4)
    oldest = sorted((tmp_path / "cache").iterdir())[:2]
    await cached.describe(Assignment())
    assert len(list((tmp_path / "cache").iterdir())) == 4
    assert not any(file.exists() for file in oldest)


async def test_a_description_too_large_to_keep_is_still_used(make, monkeypatch):
    monkeypatch.setattr(catalog_cache, "MAX_FILE", 10)
    cached = make()
    await cached.describe(ASSIGNMENT)
    described = await cached.describe(ASSIGNMENT)
    assert described.workflows[0].models == ("a.pt",)
    assert "too large" in described.doubts[0]
