"""What must happen so that this machine has what it was assigned?"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from model_manager.decisions.judging import Right, Undecided, Unpinned, Wrong, standing
from model_manager.facts.disk import Held
from model_manager.facts.model import Model, Requirements, Wanted
from model_manager.facts.plan import Check, Fetch, Keep, Link, Plan, Refuse, Step
from model_manager.facts.shelf import COMPANIONS, ShelfPath

SAFE_WITHOUT_HASH = frozenset({".safetensors", ".sft", ".gguf", ".onnx", *COMPANIONS})


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
    `blocked` (by a link, or by somebody else's file) while there is another.
    """
    by_place: dict[tuple[str, str], list[Held]] = {}
    by_sha256: dict[str, Held] = {}
    for item in held:
        by_place.setdefault((item.shelf.category, item.shelf.name), []).append(item)
        if item.digests and item.verified:
            by_sha256.setdefault(item.digests.sha256, item)
            by_sha256.setdefault(item.digests.blake3, item)
    steps = [
        _step(wanted, by_place.get((wanted.model.path.category, wanted.model.path.name), []), by_sha256, unpinned, allow_pickle)
        for wanted in requirements.wanted
    ]  # fmt: skip
    return Plan(
        generation=requirements.generation,
        steps=tuple(sorted(_once(sorted(steps, key=lambda step: step.wanted.model.path in blocked)), key=_order)),
    )


def _step(wanted: Wanted, here: list[Held], by_digest: dict[str, Held], unpinned: Unpinned, allow_pickle: bool) -> Step:
    model = wanted.model
    wrong: Held | None = None
    undecided: Held | None = None
    for held in here:
        match standing(model, held, unpinned):
            case Right():
                return Keep(wanted=wanted, held=held)
            case Undecided():
                undecided = undecided or held
            case Wrong():
                wrong = wrong or (held if held.shelf == model.path else None)
    if undecided:
        return Check(wanted=wanted, held=undecided)
    if why := not_admitted(model, unpinned, allow_pickle):
        return Refuse(wanted=wanted, why=why)
    if model.pin and model.pin.strong and (twin := by_digest.get(model.pin.hex)):
        return Link(wanted=wanted, held=twin)
    return Fetch(wanted=wanted, bytes=model.size.bytes if model.size else 0, replaces=wrong)


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
        if twin is not None and isinstance(step, Fetch) and step.replaces is None:
            kept.append(Link(wanted=step.wanted, held=twin.held))
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


def _order(step: Step) -> tuple[bool, int, int, ShelfPath]:
    work = step.bytes if isinstance(step, Fetch) else 0
    waits = int(isinstance(step, Fetch) and step.after is not None)
    return not step.wanted.required, waits, work, step.wanted.model.path
