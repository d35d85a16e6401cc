"""The workflows that are read, and what they really refer to.

Truth is not made by our tables: it is the names that the authors of the templates listed for their nodes (`properties.models`),
and every string of a node that ends like a model, of nodes that run. Folders are those that the authors listed.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from model_manager.facts.shelf import CATEGORY_OF
from tests.bench.fetching.tools import cache
from tests.decisions.workflows.custom_orders import CUSTOM_CASES
from tests.decisions.workflows.executing import prompt_of
from tests.decisions.workflows.hard_cases import CASES

TEMPLATES: Final = "comfyui-workflow-templates-json==0.1.123"
PEER: Final = "comfygit-core==0.7.1"
ENDINGS: Final = (".safetensors", ".ckpt", ".pt", ".pth", ".pt2", ".bin", ".pkl", ".sft", ".gguf", ".onnx")
NOTES: Final = ("Note", "MarkdownNote")


@dataclass(frozen=True)
class Sample:
    """One workflow. `names` are the files of its active nodes, `folders` the directories that its author listed for them."""

    name: str
    document: Any
    names: frozenset[str]
    folders: dict[str, set[str]] = field(default_factory=dict)


def environment() -> Path | None:
    """A Python with the templates and the peer, made when there is none; None where they cannot be had."""
    directory = cache() / "workflows-venv"
    python = directory / "bin" / "python"
    there = [python, "-c", "import comfygit_core, comfyui_workflow_templates_json"]
    if not python.exists() or subprocess.run(there, capture_output=True, check=False).returncode:
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        install = [python, "-m", "pip", "install", "-q", "--no-input"]
        subprocess.run([*install, "--no-deps", TEMPLATES], capture_output=True, check=False)
        subprocess.run([*install, PEER], capture_output=True, check=False)
    return python if subprocess.run(there, capture_output=True, check=False).returncode == 0 else None


def templates(python: Path) -> list[Sample]:
    """The official templates, as they are."""
    where = [python, "-c", "import comfyui_workflow_templates_json as it; print(it.__path__[0])"]
    place = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    documents = ((file.name, json.loads(file.read_bytes())) for file in sorted(place.rglob("*.json")))
    return [
        _sample(name, document) for name, document in documents if isinstance(document, dict) and "nodes" in document
    ]


def blind(samples: list[Sample]) -> list[Sample]:
    """The same without what the authors listed."""
    return [Sample(each.name, _stripped(each.document), each.names, each.folders) for each in samples]


def foreign(samples: list[Sample]) -> list[Sample]:
    """The same with every type of node called by a number, as if all were custom nodes that nobody knows."""
    return [Sample(each.name, _renamed(each.document), each.names, {}) for each in blind(samples)]


def prompts(samples: list[Sample]) -> list[Sample]:
    """The prompts that the editor would send for them."""
    made = ((each, prompt_of(each.document)) for each in samples)
    return [Sample(each.name, prompt, each.names, each.folders) for each, prompt in made if prompt]


def hard() -> list[Sample]:
    """One workflow a class of failure; the names of the active set, without folders."""
    return [Sample(case.name, case.document, frozenset(map(last, case.active))) for case in CASES]


def custom() -> list[Sample]:
    """Nodes of custom packs as they are saved, with the folders that their sources name."""
    return [
        Sample(case.name, case.document, frozenset(map(last, case.active)), _placed(case.active))
        for case in CUSTOM_CASES
    ]


def _placed(places: Iterable[str]) -> dict[str, set[str]]:
    """The last part of each name → its folders; a place is `folder/name`."""
    folders: dict[str, set[str]] = {}
    for place in places:
        folders.setdefault(last(place), set()).add(place.partition("/")[0])
    return folders


def last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _sample(name: str, document: dict[str, Any]) -> Sample:
    names: set[str] = set()
    folders: dict[str, set[str]] = {}
    for node in _running(document, _definitions(document)):
        for model in (node.get("properties") or {}).get("models") or []:
            names.add(last(model["name"]))
            directory = model["directory"]
            folders.setdefault(last(model["name"]), set()).add(CATEGORY_OF.get(directory, directory))
        names |= {last(text) for text in _strings(node.get("widgets_values")) if _is_model(text)}
    return Sample(name, document, frozenset(names), folders)


def _running(graph: dict[str, Any], definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for node in graph["nodes"]:
        if node.get("mode", 0) in (2, 4) or node["type"] in NOTES:
            continue
        if node["type"] in definitions:
            yield from _running(definitions[node["type"]], definitions)
        else:
            yield node


def _definitions(document: dict[str, Any]) -> dict[str, Any]:
    return {each["id"]: each for each in (document.get("definitions") or {}).get("subgraphs", [])}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _strings(inner)


def _is_model(text: str) -> bool:
    return text.lower().endswith(ENDINGS) and "\n" not in text and len(text) < 260


def _graphs(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [document, *_definitions(document).values()]


def _stripped(document: dict[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy(document)
    for graph in _graphs(document):
        for node in graph["nodes"]:
            (node.get("properties") or {}).pop("models", None)
    return document


def _renamed(document: dict[str, Any]) -> dict[str, Any]:
    """Notes and primitives keep their names: the editor itself knows them."""
    document = copy.deepcopy(document)
    known = {*_definitions(document), *NOTES, "PrimitiveNode", "Reroute"}
    for graph in _graphs(document):
        for node in graph["nodes"]:
            if node["type"] not in known:
                node["type"] = f"Node{sum(map(ord, node['type']))}"
    return document
