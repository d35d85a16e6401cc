"""What must happen so that this machine has what it was assigned?"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final
from urllib.parse import urlsplit

from model_manager.decisions.judging import Right, Undecided, Unpinned, Wrong, standing
from model_manager.decisions.ordering import ordered
from model_manager.facts.disk import HUB, Held
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Requirements, Wanted
from model_manager.facts.plan import Check, Fetch, Keep, Link, Plan, Refuse, Step
from model_manager.facts.shelf import COMPANIONS, ShelfPath

SAFE_WITHOUT_HASH = frozenset({".safetensors", ".sft", ".gguf", ".onnx", *COMPANIONS})

MAX_CANDIDATES: Final = 3
"""Files that are read to save one download."""


def plan(
    requirements: Requirements,
    held: Iterable[Held],
    *,
    unpinned: Unpinned = "accept",
    allow_pickle: bool = False,
    blocked: Collection[ShelfPath] = (),
) -> Plan:
    """One step for every wanted model: keep, check, link, fetch or refuse, in order of work.

    Models with the same content are fetched once: the others wait `after` the first. Nobody waits for one whose place is
    `blocked` (by a link, or by somebody else's file) while there is another. `held` must hold whatever may
    matter: the files in the wanted places, with the wanted digests, and of each `candidate_size`.
    """
    here = _Here(requirements, held)
    steps = [_step(wanted, here, unpinned, allow_pickle) for wanted in requirements.wanted]
    once = _once(sorted(steps, key=lambda step: step.wanted.model.path in blocked))
    return Plan(generation=requirements.generation, steps=_in_order(once, requirements))


class _Here:
    """What is held, by place, by digest and by size."""

    def __init__(self, requirements: Requirements, held: Iterable[Held]) -> None:
        self._by_place: dict[tuple[str, str], list[Held]] = {}
        self._by_digest: dict[str, list[Held]] = {}
        self._by_size: dict[int, list[Held]] = {}
        wanted = {_place(wanted.model.path) for wanted in requirements.wanted}
        for item in held:
            self._by_place.setdefault(_place(item.shelf), []).append(item)
            if _place(item.shelf) not in wanted:
                self._by_size.setdefault(item.fingerprint.size, []).append(item)
            if item.digests and item.verified:
                for digest in filter(None, (item.digests.sha256, item.digests.blake3)):
                    self._by_digest.setdefault(digest, []).append(item)

    def at(self, path: ShelfPath) -> list[Held]:
        return self._by_place.get(_place(path), [])

    def twin(self, model: Model, wrong: Held | None) -> Held | None:
        """A file that is known to be the pinned bytes, and is not the `wrong` one under another name."""
        found = self._by_digest.get(model.pin.hex, ()) if model.pin and model.pin.strong else ()
        return next((item for item in found if not (wrong and _same_file(item, wrong))), None)

    def candidates(self, model: Model) -> tuple[Held, ...]:
        """Files that may be the pinned bytes and were not read for such a hash yet: named by it in HuggingFace's cache, else
        of their length and in no wanted place. Of many of one length none is: adapters of a kind all have the same."""
        pin, size = model.pin, candidate_size(model)
        if pin is None or not pin.strong:
            return ()
        if named := _unknown(self._by_place.get((HUB, pin.hex), ()), pin):
            return named[:1]
        alike = _unknown(self._by_size.get(size, ()) if size is not None else (), pin)
        return alike if len(alike) <= MAX_CANDIDATES else ()


def candidate_size(model: Model) -> int | None:
    """Bytes that a file must have to be worth reading in place of a download; None when none is."""
    exact = model.pin is not None and model.pin.strong and model.size is not None and model.size.exact
    return model.size.bytes if exact and model.size else None


def _unknown(items: Iterable[Held], pin: Pin) -> tuple[Held, ...]:
    """Those that reading would tell something about: whose hash of the likeliest kind is not known."""
    found = (item for item in items if item.digests is None or item.digests.named(pin.algorithms[0]) is None)
    return tuple(sorted(found, key=lambda item: item.file))


def _same_file(a: Held, b: Held) -> bool:
    return (a.fingerprint.device, a.fingerprint.inode) == (b.fingerprint.device, b.fingerprint.inode)


def _place(path: ShelfPath) -> tuple[str, str]:
    return path.category, path.name


def _step(wanted: Wanted, here: _Here, unpinned: Unpinned, allow_pickle: bool) -> Step:
    model = wanted.model
    wrong: Held | None = None
    undecided: Held | None = None
    for held in here.at(model.path):
        match standing(model, held, unpinned):
            case Right():
                return Keep(wanted=wanted, held=held)
            case Undecided():
                undecided = undecided or held
            case Wrong():
                wrong = wrong or (held if held.shelf == model.path else None)
    if undecided:
        return Check(wanted=wanted, held=undecided)
    twin = here.twin(model, wrong)
    if (twin is None or model.sources) and (why := not_admitted(model, unpinned, allow_pickle)):
        return Refuse(wanted=wanted, why=why)
    if twin:
        return Link(wanted=wanted, held=twin, replaces=wrong)
    size = model.size.bytes if model.size else 0
    return Fetch(wanted=wanted, bytes=size, replaces=wrong, candidates=here.candidates(model))


def not_admitted(model: Model, unpinned: Unpinned, allow_pickle: bool) -> str | None:
    """Why a model is not downloaded at all, or None."""
    extension = model.path.name[model.path.name.rfind(".") :].lower()
    pinned = model.pin is not None and model.pin.strong
    if not model.sources:
        return "the catalog gives no address for it; add a downloadUrl, or put the file there yourself"
    if extension not in SAFE_WITHOUT_HASH and not (pinned or allow_pickle):
        return f"{extension} files can carry code; give a sha256 in the catalog, or set MODEL_MANAGER_ALLOW_PICKLE=true"
    if unpinned == "refuse" and model.pin is None and not _promises(model):
        return "the catalog gives no hash for it and MODEL_MANAGER_UNPINNED is refuse; add its sha256"
    return None


def _promises(model: Model) -> bool:
    """Whether an origin itself vouches for a digest (HuggingFace names the SHA-256 of what it stores)."""
    return any(urlsplit(source.url).hostname == "huggingface.co" for source in model.sources)


def same_content(a: Model, b: Model) -> bool:
    """Whether two models are the same bytes as far as the catalog says: the same strong hash, or the same address."""
    if a.pin and b.pin:
        return a.pin.strong and a.pin.hex == b.pin.hex
    return bool({source.url for source in a.sources} & {source.url for source in b.sources})


def _once(steps: list[Step]) -> list[Step]:
    """Every content at most one fetch: the others are linked to what is here, or wait for the first."""
    kept: list[Step] = []
    fetches: list[Fetch] = []
    here = [step for step in steps if isinstance(step, Keep) and step.held.evidence != "content"]
    for step in steps:
        twin = next(
            (keep for keep in here if isinstance(step, Fetch) and same_content(keep.wanted.model, step.wanted.model)),
            None,
        )
        if (
            twin is not None
            and isinstance(step, Fetch)
            and not (step.replaces and _same_file(step.replaces, twin.held))
        ):
            kept.append(Link(wanted=step.wanted, held=twin.held, replaces=step.replaces))
            continue
        first = next(
            (f for f in fetches if isinstance(step, Fetch) and same_content(f.wanted.model, step.wanted.model)), None
        )
        if first is not None and isinstance(step, Fetch):
            kept.append(Fetch(wanted=step.wanted, bytes=0, replaces=step.replaces, after=first.wanted.model.path))
            continue
        if isinstance(step, Fetch):
            fetches.append(step)
        kept.append(step)
    return kept


def _in_order(steps: list[Step], requirements: Requirements) -> tuple[Step, ...]:
    """What needs no download first, then the downloads."""
    fetches = [step for step in steps if isinstance(step, Fetch)]
    others = sorted(
        (step for step in steps if not isinstance(step, Fetch)),
        key=lambda step: (not step.wanted.required, step.wanted.model.path),
    )
    present = {step.wanted.model.path for step in others if not isinstance(step, Refuse)}
    return *others, *ordered(fetches, requirements, present)
