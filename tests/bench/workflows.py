"""Which models does a workflow refer to: how many are found, how many of those are none, in which folder, how soon.

Sets: the official templates as they are, without what their authors list, with types of nodes that nobody knows, the prompts that
the editor would send for them, custom nodes as they are saved, and one hard case a class of failure. The peer is comfygit's parser.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from model_manager.decisions.workflows.referring import referred
from tests.bench.row import Row
from tests.bench.understanding import corpus
from tests.bench.understanding.corpus import Sample, last
from tests.bench.understanding.peer import Answer, answers

RECALL, PRECISION, FOLDERS, MILLISECONDS = 99.9, 99.5, 99.5, 2.0


@dataclass(frozen=True)
class Found:
    """What one reader found in one workflow: name → folders. None when it raised."""

    folders: dict[str, set[str]] | None
    seconds: float

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.folders or ())


def run(smoke: bool) -> Iterator[Row]:
    python = None if smoke else corpus.environment()
    if not smoke and python is None:
        print("workflows: the templates cannot be had here; only the hard cases are read", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="mm-") as scratch:
        theirs: Callable[[list[Sample]], list[Answer] | None] = lambda samples: (  # noqa: E731
            answers(python, samples, Path(scratch)) if python else None
        )
        yield from _hard(theirs)
        yield from _custom(theirs)
        if python:
            yield from _templates(corpus.templates(python), theirs)


def _hard(theirs: Callable[[list[Sample]], list[Answer] | None]) -> Iterator[Row]:
    samples = corpus.hard()
    ours, others = [_read(sample) for sample in samples], theirs(samples)
    right = sum(found.names == sample.names for found, sample in zip(ours, samples, strict=True))
    peer = None if others is None else sum(o.names == s.names for o, s in zip(others, samples, strict=True))
    yield Row(bench="workflows", case=f"hard cases read exactly, of {len(samples)}", ours=right, peer=peer, unit="",
              goal=len(samples), more_is_better=True)  # fmt: skip


def _custom(theirs: Callable[[list[Sample]], list[Answer] | None]) -> Iterator[Row]:
    samples = corpus.custom()
    yield from _set(
        f"{len(samples)} of custom nodes, as saved", samples, [_read(sample) for sample in samples], theirs(samples)
    )


def _templates(samples: list[Sample], theirs: Callable[[list[Sample]], list[Answer] | None]) -> Iterator[Row]:
    sets = {
        "templates": samples, "without lists": corpus.blind(samples), "prompts made of them": corpus.prompts(samples),
        "unknown types": corpus.foreign(samples),
    }  # fmt: skip
    for name, chosen in sets.items():
        case = f"{len(chosen)} {name}" if name == "templates" else f"{name}, {len(chosen)}"
        yield from _set(case, chosen, [_read(sample) for sample in chosen], theirs(chosen))


def _set(case: str, samples: list[Sample], ours: list[Found], others: list[Answer] | None) -> Iterator[Row]:
    recall, precision = _share(samples, [found.names for found in ours])
    theirs = [answer.names or frozenset() for answer in others] if others else None
    peer_recall, peer_precision = _share(samples, theirs) if theirs else (None, None)
    yield Row(bench="workflows", case=f"{case}: recall", ours=recall, peer=peer_recall, unit="%", goal=RECALL,
              more_is_better=True)  # fmt: skip
    yield Row(bench="workflows", case=f"{case}: precision", ours=precision, peer=peer_precision, unit="%", goal=PRECISION,
              more_is_better=True)  # fmt: skip
    if any(sample.folders for sample in samples):
        yield Row(bench="workflows", case=f"{case}: folders", ours=_right_folders(samples, ours), unit="%", goal=FOLDERS,
                  more_is_better=True)  # fmt: skip
    raised = sum(found.folders is None for found in ours)
    peer_raised = None if others is None else sum(answer.names is None for answer in others)
    yield Row(bench="workflows", case=f"{case}: raised", ours=raised, peer=peer_raised, unit="", goal=0)
    mine = statistics.median(found.seconds for found in ours) * 1000
    peer = None if others is None else statistics.median(answer.seconds for answer in others) * 1000
    yield Row(bench="workflows", case=f"{case}: median", ours=mine, peer=peer, unit="ms", goal=MILLISECONDS)


def _read(sample: Sample) -> Found:
    """One of ours, timed from the decoded JSON; whatever it raises is counted, not hidden."""
    started = time.perf_counter()
    try:
        workflow = referred(sample.document)
    except Exception as error:
        print(f"workflows: {sample.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return Found(None, time.perf_counter() - started)
    seconds = time.perf_counter() - started
    folders: dict[str, set[str]] = {}
    for reference in workflow.needed:
        for name in reference.names:
            folders.setdefault(last(name), set()).add(reference.folder)
    return Found(folders, seconds)


def _share(samples: list[Sample], found: list[frozenset[str]]) -> tuple[float, float]:
    """Recall and precision in percent, over all names of all workflows."""
    both = sum(len(sample.names & names) for sample, names in zip(samples, found, strict=True))
    true, said = sum(len(sample.names) for sample in samples), sum(map(len, found))
    return 100 * both / true, 100 * both / said if said else 0.0


def _right_folders(samples: list[Sample], found: list[Found]) -> float:
    """Of the names that were found and whose directory the author listed: how many have exactly that folder."""
    pairs = [
        (folders, (ours.folders or {})[name])
        for sample, ours in zip(samples, found, strict=True)
        for name, folders in sample.folders.items()
        if name in (ours.folders or {})
    ]
    return 100 * sum(said == ours for said, ours in pairs) / len(pairs)
