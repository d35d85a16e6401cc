"""What is a model, of all that is said of it? Whose word counts, and is anything still missing?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from model_manager.errors import BadRecord
from model_manager.facts import civitai, wire
from model_manager.facts.description import ORDER, Claim, Field, Said, Teller, Told, claims_of, told_of

Status = Literal["none", "partial", "complete"]
Source = Literal["none", "forge", "civitai", "embedded"]

COMPLETE: Final[frozenset[Field]] = frozenset(
    {
        "type", "civitai_id", "civitai_version_id", "civitai_model_name", "civitai_model_base",
        "civitai_model_type", "civitai_model_version_name", "civitai_download_url",
    }
)  # fmt: skip
"""The fields that CivitAI has for every model: when all are told, nobody need be asked. A checkpoint has no trained words, and
many versions no description."""

MOST_WORDS: Final = 3
"""Trained words that are guessed from training tags."""

_KINDS: Final = ("lora", "checkpoint", "textual-inversion", "controlnet", "vae")
_SOURCE: Final[Mapping[Teller, Source]] = {
    "forge": "forge",
    "civitai": "civitai",
    "civitai api": "civitai",
    "stablequeue": "civitai",
    "embedded": "embedded",
}


def best(told: Iterable[Told]) -> dict[Field, Told]:
    """Field → the word that counts: of two tellers the earlier one in ORDER, of one teller the later word."""
    found: dict[Field, Told] = {}
    for word in told:
        other = found.get(word.field)
        if other is None or _rank(word) < _rank(other) or (_rank(word) == _rank(other) and word.at > other.at):
            found[word.field] = word
    return found


def _rank(word: Told) -> int:
    return ORDER.index(word.teller)


def status(best_: Mapping[Field, Told]) -> Status:
    """How much is told of a model (StableQueue's metadata_status)."""
    if not best_:
        return "none"
    return "complete" if best_.keys() >= COMPLETE else "partial"


def source(best_: Mapping[Field, Told]) -> Source:
    """The best source that told anything (StableQueue's metadata_source, which knows only these words)."""
    tellers = sorted({_rank(word) for word in best_.values()})
    return next((_SOURCE[ORDER[rank]] for rank in tellers if ORDER[rank] in _SOURCE), "none")


def from_civitai(
    record: Mapping[str, object], at: str, *, sha256: str = "", size: int | None = None, name: str = ""
) -> Said:
    """What a version record of CivitAI's API says. `sha256` is the hash that was asked for, `size` in bytes and `name` are the
    file's own: they tell which file of the version is meant, and only its hashes are taken."""
    file = civitai.file_of(record, sha256=sha256, size=size, name=name)
    return civitai.said(record, file, "civitai api", at)


def from_embedded(values: Mapping[str, str], at: str) -> Said:
    """What a file's own header says: ModelSpec, kohya's training metadata, GGUF keys."""
    architecture = values.get("modelspec.architecture", "")
    fields: dict[Field, object] = {
        "name": civitai.first(values.get("modelspec.title"), values.get("general.name"), values.get("ss_output_name")),
        "type": _kind(architecture, values),
        "civitai_model_base": civitai.first(
            values.get("ss_base_model_version"),
            architecture.partition("/")[0],
            values.get("general.architecture"),
            values.get("ss_sd_model_name"),
        ),
        "civitai_model_version_desc": values.get("modelspec.description"),
        "civitai_model_version_date": values.get("modelspec.date"),
        "civitai_trained_words": values.get("modelspec.trigger_phrase") or _words(values.get("ss_tag_frequency", "")),
    }
    return Said(told=told_of(fields, "embedded", at), claims=_claims(values))


def _kind(architecture: str, values: Mapping[str, str]) -> str | None:
    """The type that the header names; a bare architecture can be a checkpoint or a part of one and says nothing."""
    named = next((kind for kind in _KINDS if kind in architecture.lower()), None)
    return named or ("lora" if values.get("ss_network_module", "").startswith("networks.") else None)


def _claims(values: Mapping[str, str]) -> tuple[Claim, ...]:
    """Both keys mean the SHA-256 of the tensors' bytes. Some writers name the empty text's, which is refused."""
    told = (values.get("sshs_model_hash"), values.get("modelspec.hash_sha256"))
    return tuple(dict.fromkeys(claim for value in told for claim in claims_of({"tensor": value}, "embedded")))


def _words(frequency: str) -> list[str]:
    """Trained words of kohya's tag statistics, as StableQueue guesses them: of the first data set the tags that are used at
    least twice and half as often as the most frequent one."""
    try:
        groups = wire.loads_unique(frequency.encode("utf-8", "replace"), "ss_tag_frequency")
    except BadRecord:
        return []
    first = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    counts = {tag.strip(): n for tag, n in first.items() if type(n) is int} if isinstance(first, dict) else {}
    least = max(2, max(counts.values(), default=0) / 2)
    common = [tag for tag, count in counts.items() if tag and count >= least]
    return sorted(common, key=lambda tag: -counts[tag])[:MOST_WORDS]
