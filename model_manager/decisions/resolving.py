"""Which local file is this model, and will this ComfyUI load exactly that one?

ComfyUI takes a value only when it stands in its list of the folder, letter by letter, and opens the first directory of the
search that has a file of that name (folder_paths.get_filename_list, get_full_path). Nothing here matches a part of a name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from model_manager.facts.identity import FULL, Algorithm
from model_manager.facts.known import Known
from model_manager.facts.resolution import (
    LISTED,
    STRATEGIES,
    Candidate,
    Layout,
    Resolved,
    Ruling,
    State,
    Strategy,
    Wish,
)
from model_manager.facts.shelf import CATEGORY_OF
from model_manager.facts.workflow import Reference, Workflow

EMBEDDED: Final = ("", ".safetensors", ".pt", ".bin")
"""What ComfyUI adds to the name of an embedding, in this order (comfy/sd1_clip.py, load_embed)."""

STEMS: Final = ("", ".safetensors", ".sft", ".pth", ".pt", ".bin", ".ckpt", ".pt2", ".pkl")
"""What any other name without an ending may go on with (nodes.py, VAELoader: the first file that begins so)."""

MOST: Final = 50
"""Candidates of one wish."""

CLAIMED: Final = "claim"
"""What stands in the place of a formula for a hash that another program claims."""

Samples = Mapping[str, tuple[tuple[str, str], ...]]

_ORDER: Final = {strategy: place for place, strategy in enumerate(STRATEGIES)}
_SPLITS_PROMPTS = re.compile(r"[\s,:<>()\\]")


def wishes(workflow: Workflow, reference: Reference) -> tuple[Wish, ...]:
    """The files that a reference needs."""
    builtin = any(node.name == reference.node_type and node.builtin for node in workflow.node_types)
    only = len(reference.names) == 1
    return tuple(
        Wish(
            name=name,
            text=reference.text if only else name,
            folders=reference.folders,
            kind=reference.kind,
            pin=reference.pin if only else None,
            builtin=builtin,
        )
        for name in reference.names
    )


def resolved(workflow: Workflow, files: Iterable[Known], layout: Layout) -> tuple[Resolved, ...]:
    """Every reference of a workflow, active or not, in its order. `files`: as for `resolve`."""
    asked = [(reference, wishes(workflow, reference)) for reference in workflow.references]
    rulings = iter(resolve([wish for _, wanted in asked for wish in wanted], files, layout))
    return tuple(
        Resolved(reference=reference, rulings=tuple(next(rulings) for _ in wanted)) for reference, wanted in asked
    )


def resolve(
    wanted: Sequence[Wish], files: Iterable[Known], layout: Layout, *, samples: Samples = MappingProxyType({})
) -> tuple[Ruling, ...]:
    """One ruling for each wish, in order. `files` are those of the index, or at least those that `keys` finds, with those
    that share a name with them. `samples`: hashes over samples (formula, hex) that were taken of files, by path."""
    shelf = _Shelf(wanted, files, layout, samples)
    return tuple(_ruling(wish, shelf) for wish in wanted)


def keys(wanted: Iterable[Wish]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What to look up: names of files as `base` spells them, hashes as hex, directories as `spelt` spells them."""
    bases: dict[str, None] = {}
    hexes: dict[str, None] = {}
    directories: dict[str, None] = {}
    for wish in wanted:
        if wish.kind == "directory" and _nameable(wish.name):
            directories[spelt(wish.name)] = None
        bases |= dict.fromkeys(_bases(wish) if _nameable(wish.name) else ())
        hexes |= dict.fromkeys(([wish.pin.hex] if wish.pin else []) + [digits for _, digits in wish.quick])
    return tuple(bases), tuple(hexes), tuple(directories)


def _nameable(name: str) -> bool:
    """Whether a file can be called so: a lone surrogate, which JSON can spell, is no character, and no store takes it."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def spelt(name: str) -> str:
    """As slots are spelt: composed, without regard to case (facts.shelf.ShelfPath.slot)."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def base(name: str) -> str:
    """The last part of a name, spelt so."""
    return spelt(name[name.rfind("/") + 1 :])


def _bases(wish: Wish) -> tuple[str, ...]:
    plain = base(wish.name)
    return tuple(plain + ending for ending in _endings(wish))


def _endings(wish: Wish) -> tuple[str, ...]:
    if wish.kind != "stem":
        return ("",)
    return EMBEDDED if wish.folder == "embeddings" else STEMS


class _Shelf:
    """The files that any of the wishes could mean, found in one pass over all."""

    def __init__(self, wanted: Sequence[Wish], files: Iterable[Known], layout: Layout, samples: Samples) -> None:
        self.layout = layout
        self._samples = samples
        self._searched: dict[str, tuple[str, ...]] = {}
        bases, hexes, directories = (frozenset(each) for each in keys(wanted))
        algorithms = {algorithm for wish in wanted if wish.pin for algorithm in wish.pin.algorithms}
        self._named: dict[str, list[Known]] = {}
        self._hashed: dict[tuple[str, str], list[Known]] = {}
        self._inside: dict[str, list[Known]] = {}
        everything = files if isinstance(files, Sequence) else tuple(files)
        if hexes:
            for known in everything:
                if known.digests or known.quick or known.claims or known.file in samples:
                    self._enter_hashes(known, algorithms, hexes)
        if directories:
            for known in everything:
                self._enter_directories(known, directories)
        hiding = {base(known.name) for found in self._hashed.values() for known in found}
        self.files = self._enter_names(everything, bases | hiding)

    def _enter_names(self, files: Iterable[Known], bases: frozenset[str]) -> dict[str, Known]:
        """Those with one of these names, by their path too. One pass over all: what it does for each file is counted."""
        paths, named = {}, self._named
        for known in files:
            name = known.name
            key = name[name.rfind("/") + 1 :]
            key = key.lower() if key.isascii() else spelt(key)
            if key in bases:
                named.setdefault(key, []).append(known)
                paths[known.file] = known
        return paths

    def _enter_hashes(self, known: Known, algorithms: Iterable[Algorithm], hexes: frozenset[str]) -> None:
        for algorithm in algorithms if known.digests else ():
            if known.digests and (value := known.digests.named(algorithm)) in hexes:
                self._hashed.setdefault((algorithm, value or ""), []).append(known)
        for formula, value in (*self.samples(known), *((CLAIMED, digits) for digits in known.claims)):
            if value in hexes:
                self._hashed.setdefault((formula, value), []).append(known)

    def _enter_directories(self, known: Known, directories: frozenset[str]) -> None:
        parts = spelt(known.name).split("/")
        for length in range(1, len(parts)):
            if (above := "/".join(parts[:length])) in directories:
                self._inside.setdefault(above, []).append(known)

    def named(self, wish: Wish) -> Iterator[Known]:
        for key in _bases(wish):
            yield from self._named.get(key, ())

    def inside(self, wish: Wish) -> Sequence[Known]:
        return self._inside.get(spelt(wish.name), ())

    def hashed(self, name: str, digits: str) -> Sequence[Known]:
        return self._hashed.get((name, digits), ())

    def directories(self, category: str) -> tuple[str, ...]:
        """Where a category is looked for; a folder that the index spells otherwise is the same to ComfyUI."""
        if category not in self._searched:
            self._searched[category] = self.layout.directories(CATEGORY_OF.get(category, category))
        return self._searched[category]

    def samples(self, known: Known) -> tuple[tuple[str, str], ...]:
        """Hashes over samples of a file, by formula."""
        ours = (("blake3_sample_v1", known.quick),) if known.quick else ()
        return (*ours, *self._samples.get(known.file, ()))

    def searched(self, wish: Wish) -> tuple[str, ...]:
        return tuple(path for folder in wish.folders for path in self.directories(folder))


def _ruling(wish: Wish, shelf: _Shelf) -> Ruling:
    if wish.kind == "directory":
        return _of_directory(wish, shelf)
    loaded = _loaded(wish, shelf)
    if loaded is not None:
        fits = _fits(wish, loaded, shelf)
        if fits is not False:
            return _settled(wish, loaded, fits)
    candidates = _candidates(wish, shelf)
    if loaded is not None:
        why = f"{loaded.file} has this name, and other bytes than those that were promised"
        return Ruling(wish=wish, state="other", why=why, loaded=loaded, candidates=candidates)
    return _unsettled(wish, candidates)


def _settled(wish: Wish, loaded: Known, fits: bool | None) -> Ruling:
    if fits is None and (wish.pin or wish.quick):
        why = "it is not read yet" if loaded.digests is None else "the promised kind of hash was never computed"
        return Ruling(wish=wish, state="unproven", why=f"{loaded.file} has this name; {why}", loaded=loaded)
    said = "its hash is the promised one" if fits else "it is the first of this name in the order of search"
    return Ruling(wish=wish, state="loads", why=said, loaded=loaded)


def _unsettled(wish: Wish, candidates: tuple[Candidate, ...]) -> Ruling:
    if not candidates:
        return Ruling(wish=wish, state="missing", why="no file here has this name or hash")
    state: State
    best = [each for each in candidates if _rank(each) == _rank(candidates[0])]
    contents = {each.known.content_id for each in best}
    if best[0].by == "elsewhere":
        where = (
            "in a folder where the loader does not look"
            if wish.folders
            else "here, and nobody says where it is looked for"
        )
        state, why = "proposed", f"a file of this name lies {where}"
    elif best[0].by == "quick hash":
        state, why = "proposed", "a claimed or sampled hash fits, which proves nothing: have it read"
    elif len(contents) > 1:
        state, why = "ambiguous", f"{len(contents)} different files could be meant"
    else:
        state, why = "fixable", best[0].why
    return Ruling(wish=wish, state=state, why=why, candidates=candidates)


def _loaded(wish: Wish, shelf: _Shelf) -> Known | None:
    """What ComfyUI opens for the value as it is written."""
    if "\\" in wish.text and "\\" not in wish.name:
        return None
    if wish.builtin and wish.kind == "file" and wish.text not in ("", wish.name):
        return None
    places = shelf.searched(wish) if _listed(wish, wish.name) else ()
    paths = (f"{directory}/{wish.name}{ending}" for directory in places for ending in _endings(wish))
    return next((shelf.files[path] for path in paths if path in shelf.files), None)


def _listed(wish: Wish, name: str) -> bool:
    """Whether the loader shows such a file at all; what custom nodes list, nobody else knows."""
    if not wish.builtin or wish.kind != "file" or wish.folder in ("configs", "classifiers"):
        return True
    return name[name.rfind(".") :].lower() in LISTED


def _fits(wish: Wish, known: Known, shelf: _Shelf) -> bool | None:
    """True or False when digests decide whether these are the promised bytes, None when nothing does."""
    if wish.pin and known.digests and (agrees := wish.pin.agrees(known.digests)) is not None:
        return agrees
    mine = dict(shelf.samples(known))
    theirs = dict(wish.quick)
    if any(mine[formula] != theirs[formula] for formula in mine.keys() & theirs.keys()):
        return False
    if wish.size is not None and wish.size != known.size:
        return False
    return None


def _candidates(wish: Wish, shelf: _Shelf) -> tuple[Candidate, ...]:
    """What could be meant, the surest first, each file once; of files that are the same bytes, one that loads comes first."""
    found: dict[str, Candidate] = {}
    for known, by in _found(wish, shelf):
        if known.file not in found:
            found[known.file] = _candidate(wish, known, by, shelf)
        if len(found) == MOST:
            break
    return tuple(sorted(found.values(), key=lambda each: (_rank(each), each.value is None)))


def _found(wish: Wish, shelf: _Shelf) -> Iterator[tuple[Known, Strategy]]:
    if wish.pin:
        by: Strategy = "digest" if wish.pin.strong and not FULL.isdisjoint(wish.pin.algorithms) else "hash"
        for algorithm in wish.pin.algorithms:
            yield from ((known, by) for known in shelf.hashed(algorithm, wish.pin.hex))
        yield from ((known, "quick hash") for known in shelf.hashed(CLAIMED, wish.pin.hex) if not known.digests)
    for formula, digits in wish.quick:
        yield from (
            (known, "quick hash") for known in shelf.hashed(formula, digits) if _fits(wish, known, shelf) is not False
        )
    searched = shelf.searched(wish)
    rest = []
    for known in shelf.named(wish):
        if _fits(wish, known, shelf) is False or not _listed(wish, known.name):
            continue
        inside = _below(known.file, searched)
        if inside is None:
            rest.append(known)
        else:
            yield known, "path" if spelt(inside) == spelt(wish.name) else "name"
    yield from ((known, "elsewhere") for known in rest)


def _below(file: str, directories: Iterable[str]) -> str | None:
    """The name of a file below the first of the directories that holds it."""
    return next((file[len(path) + 1 :] for path in directories if file.startswith(f"{path}/")), None)


def _candidate(wish: Wish, known: Known, by: Strategy, shelf: _Shelf) -> Candidate:
    value, why = _value(wish, known, shelf)
    return Candidate(known=known, by=by, value=value, why=why)


def _value(wish: Wish, known: Known, shelf: _Shelf) -> tuple[str | None, str]:
    """What the loader must be given for this very file, and what that changes."""
    searched = shelf.searched(wish)
    for place, directory in enumerate(searched):
        if not known.file.startswith(f"{directory}/"):
            continue
        name = known.file[len(directory) + 1 :]
        if other := _shadow(name, searched[:place], shelf):
            return None, f"{other.file} has the same name and is found first"
        value = _as_written(wish, name)
        if value is None:
            return None, f"the name {name} cannot stand in a prompt"
        return value, _difference(wish, name)
    if known.folder in wish.folders:
        return None, f"this ComfyUI does not search {known.root}"
    where = f"the loader looks in {wish.folder}" if wish.folder else "nobody says in which folder the loader looks"
    return None, f"it lies in {known.folder}, and {where}"


def _shadow(name: str, earlier: Iterable[str], shelf: _Shelf) -> Known | None:
    paths = (f"{directory}/{name}" for directory in earlier)
    return next((shelf.files[path] for path in paths if path in shelf.files), None)


def _as_written(wish: Wish, name: str) -> str | None:
    if wish.kind != "stem":
        return name
    stem = next((name.removesuffix(ending) for ending in STEMS[1:] if name.endswith(ending)), name)
    return None if _SPLITS_PROMPTS.search(stem) else stem


def _difference(wish: Wish, name: str) -> str:
    if "\\" in wish.text and wish.text.replace("\\", "/") == name:
        return "the value is written with backslashes, and this ComfyUI lists it with '/'"
    if name == wish.name:
        return "ComfyUI lists it by this name, and the value is written in another way"
    if name.lower() == wish.name.lower():
        return "upper and lower case differ"
    if spelt(name) == spelt(wish.name):
        return "its letters are composed in another way"
    if base(name) == base(wish.name):
        return "it lies in another subfolder"
    return "it has the promised hash under another name"


def _rank(candidate: Candidate) -> int:
    return _ORDER[candidate.by]


def _of_directory(wish: Wish, shelf: _Shelf) -> Ruling:
    """A diffusers pipeline, or whatever a custom node wants as a whole: judged by where its files lie, not by their bytes."""
    inside = shelf.inside(wish)
    exact = [f"{directory}/{wish.name}/" for directory in shelf.searched(wish)]
    for start in exact:
        if found := next((known for known in inside if known.file.startswith(start)), None):
            return Ruling(wish=wish, state="loads", why=f"there is a directory {start[:-1]}", loaded=found)
    if not inside:
        return Ruling(wish=wish, state="missing", why="no directory here has this name")
    candidates = _directories(wish, inside, shelf)
    if candidates[0].by == "elsewhere":
        why = "a directory of this name lies where the loader does not look"
        return Ruling(wish=wish, state="proposed", why=why, candidates=candidates)
    return Ruling(wish=wish, state="fixable", why=candidates[0].why, candidates=candidates)


def _directories(wish: Wish, inside: Iterable[Known], shelf: _Shelf) -> tuple[Candidate, ...]:
    depth = wish.name.count("/") + 1
    found: dict[str, Candidate] = {}
    for known in inside:
        below = _below(known.file, shelf.searched(wish))
        value = "/".join((below or known.name).split("/")[:depth])
        by: Strategy = "elsewhere" if below is None else "name"
        place = f"{by} {value}"
        why = "upper and lower case differ" if below else f"it lies in {known.folder}"
        found.setdefault(place, Candidate(known=known, by=by, value=value if below else None, why=why))
    return tuple(sorted(found.values(), key=_rank))
