"""The nearest peer: comfygit's parser of workflows, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.understanding.corpus import Sample, last

DRIVER: Final = """
import json, logging, sys, time
logging.disable(logging.CRITICAL)
from comfygit_core.analyzers.workflow_dependency_parser import WorkflowDependencyParser
from comfygit_core.services.workflow_input import normalize_workflow_input
answers = []
for document in json.load(open(sys.argv[1])):
    started = time.perf_counter()
    try:
        found = WorkflowDependencyParser(normalize_workflow_input(document)).analyze_dependencies().found_models
        names = [ref.widget_value for ref in found]
    except Exception:
        names = None
    answers.append([names, time.perf_counter() - started])
print(json.dumps(answers))
"""


@dataclass(frozen=True)
class Answer:
    """`names` is None where it raised; `seconds` from the decoded JSON to the names."""

    names: frozenset[str] | None
    seconds: float


def answers(python: Path, samples: list[Sample], scratch: Path) -> list[Answer] | None:
    """What it finds in each workflow, None when it cannot be run at all."""
    file = scratch / "documents.json"
    file.write_text(json.dumps([sample.document for sample in samples]))
    done = subprocess.run([python, "-c", DRIVER, file], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"workflows: comfygit: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    rows = json.loads(done.stdout.splitlines()[-1])
    return [Answer(None if names is None else frozenset(map(last, names)), seconds) for names, seconds in rows]
