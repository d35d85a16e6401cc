"""Which files are one model together?"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from model_manager.facts.bundle import Bundle, Kind
from model_manager.facts.shelf import ShelfPath

PIPELINE: Final = "model_index.json"
"""In the top directory of every diffusers pipeline. ComfyUI lists such directories in its folder `diffusers`
(folder_paths.py), by their path below it."""

CONFIG: Final = "config.json"
INDEX: Final = ".index.json"
"""Of transformers: a model's configuration, and the ending of the table that says which shard holds which tensor."""

MOST_SHARDS: Final = 1000
"""Files of one model. The largest published models have fewer than 200; a higher number is a name, no promise."""

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{2,6})-of-(?P<total>\d{2,6})(?P<ending>(?:\.[A-Za-z0-9_]{1,20}){1,3})")
_CANONICAL = re.compile(
    r"(?:model|pytorch_model|diffusion_pytorch_model|adapter_model|open_clip_model|open_clip_pytorch_model)"
    r"(?:\.[A-Za-z0-9_]{1,20}){1,2}"
)
"""What transformers, diffusers, peft and open_clip call the weights in a directory that is the model; a middle part is the
variant (`model.fp16.safetensors`)."""


@dataclass(frozen=True, slots=True)
class _File:
    """`directory` and `base` make its path; `above` is the directory as ComfyUI would write it, "" at the folder's top."""

    path: str
    directory: str
    base: str
    folder: str
    above: str

    @property
    def top(self) -> str:
        """The directory that is the whole folder."""
        return self.directory[: -len(self.above) - 1] if self.above else self.directory


@dataclass(frozen=True, slots=True)
class _Shard:
    stem: str
    number: int
    total: int
    width: int
    ending: str

    def at(self, number: int) -> str:
        """The name of another shard of the same model."""
        return f"{self.stem}-{number:0{self.width}}-of-{self.total:0{self.width}}{self.ending}"

    @property
    def whole(self) -> tuple[str, int, int, str]:
        """The same for all shards of one model."""
        return self.stem, self.total, self.width, self.ending


def bundles(files: Iterable[tuple[str, ShelfPath]], markers: Collection[str]) -> dict[str, Bundle]:
    """File → the model that it is a part of. A file that is not in the answer is a model by itself.

    `files`: absolute paths and places; `markers`: absolute paths of every PIPELINE, CONFIG and `*.index.json` near them.
    The nearest pipeline above a file has it, with everything below. Without one, the weights beside a CONFIG or an index
    belong together if they bear the names that such directories use; others beside them stay models of their own. Markers
    at the top of a folder (`loras/config.json`) are somebody's litter and bind nothing.
    """
    groups: defaultdict[tuple[Kind, str], list[_File]] = defaultdict(list)
    find = _finder(markers)
    for path, shelf in files:
        file = _file(path, shelf)
        if found := find(file):
            groups[found].append(file)
    return {
        file.path: bundle
        for (kind, key), group in groups.items()
        for bundle in [_made(kind, key, group)]
        for file in group
    }


def _file(path: str, shelf: ShelfPath) -> _File:
    directory, _, base = path.rpartition("/")
    above = shelf.name.rpartition("/")[0]
    return _File(path, directory, base, shelf.folder, above if directory.endswith(f"/{above}") else "")


def _finder(markers: Collection[str]) -> Callable[[_File], tuple[Kind, str] | None]:
    pipelines = {path.rpartition("/")[0] for path in markers if path.rpartition("/")[2] == PIPELINE}
    configured = {path.rpartition("/")[0] for path in markers if path.endswith((f"/{CONFIG}", INDEX))} - pipelines

    def find(file: _File) -> tuple[Kind, str] | None:
        for directory in _up(file):
            if directory in pipelines:
                return "diffusers", directory
        shard = _shard(file.base)
        plain = shard.stem + shard.ending if shard else file.base
        if file.above and file.directory in configured and _CANONICAL.fullmatch(plain):
            return "transformers", file.directory
        return (
            ("shards", f"{file.directory}/{shard.stem}-of-{shard.total:0{shard.width}}{shard.ending}")
            if shard
            else None
        )

    return find


def _up(file: _File) -> Iterator[str]:
    """The directories from the file's own up to, and without, the top of its folder."""
    directory = file.directory
    for _ in range(file.above.count("/") + 1 if file.above else 0):
        yield directory
        directory = directory.rpartition("/")[0]


def _shard(base: str) -> _Shard | None:
    found = _SHARD.fullmatch(base)
    if found is None or len(found["number"]) != len(found["total"]):
        return None
    number, total = int(found["number"]), int(found["total"])
    if not 1 <= number <= total <= MOST_SHARDS:
        return None
    return _Shard(found["stem"], number, total, len(found["total"]), found["ending"])


def _made(kind: Kind, key: str, group: list[_File]) -> Bundle:
    first = group[0]
    name = key[len(first.top) + 1 :] if kind != "shards" else _shards_name(first)
    return Bundle(
        key=key,
        kind=kind,
        folder=first.folder,
        name=name,
        parts=tuple(sorted(file.path for file in group)),
        missing=tuple(sorted(_missing(group))),
    )


def _shards_name(file: _File) -> str:
    shard = _shard(file.base)
    plain = shard.stem + shard.ending if shard else file.base
    return f"{file.above}/{plain}" if file.above else plain


def _missing(group: list[_File]) -> Iterator[str]:
    """Of each set of shards in a model, those that are not there."""
    sets: defaultdict[tuple[str, tuple[str, int, int, str]], dict[int, _Shard]] = defaultdict(dict)
    for file in group:
        if shard := _shard(file.base):
            sets[file.directory, shard.whole][shard.number] = shard
    for (directory, _), there in sets.items():
        one = next(iter(there.values()))
        yield from (f"{directory}/{one.at(number)}" for number in range(1, one.total + 1) if number not in there)
