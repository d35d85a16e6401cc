"""What a JSON object beside a model says, and whose it is. The content decides, never the file's name.

Formats: user metadata of A1111 and Forge · CivitAI's version and model records (civitai.info, Civitai Helper) · StableQueue's
flat records · metadata of LoRA Manager · StabilityMatrix' connected model info · rgthree's info. Identity is never taken from
them: a "file_name" inside says nothing about which file it lies beside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from model_manager.facts import civitai, wording
from model_manager.facts.civitai import Record, entries, first
from model_manager.facts.description import Field, Said, Teller, claims_of, told_of

FORGE: Final = ("activation text", "sd version", "preferred weight", "negative text")
_FORGE_ALL: Final = frozenset({*FORGE, "description", "notes", "vae", "vae_te"})
_STABLEQUEUE: Final = ("modelId", "modelVersionId", "civitaiVersionId", "baseModel", "trainedWords", "hash_autov2")
_LORA_MANAGER: Final = ("model_name", "base_model", "civitai", "from_civitai")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The file that a JSON lies beside, as it is now. `size` in bytes; `at` is ISO 8601 UTC, when it is read."""

    name: str
    size: int
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one JSON says, and what of it was left out and why."""

    said: Said = field(default_factory=Said)
    odd: tuple[str, ...] = ()


Reader = Callable[[Record, Model], Heard]


def heard(record: Record, model: Model) -> Heard | None:
    """What the object says of the model, None when it is of no kind that speaks of models."""
    reader = next((reads for known, reads in _READERS if known(record)), None)
    if reader is None:
        return None
    found = reader(record, model)
    if reader is not _forge and _is_forge(record):
        found = _together(_forge(record, model), found)
    return found


def _together(one: Heard, two: Heard) -> Heard:
    first_, then = one.said, two.said
    said = Said(first_.told + then.told, first_.claims + then.claims, first_.addresses + then.addresses)
    return Heard(said=said, odd=one.odd + two.odd)


def _is_lora_manager(record: Record) -> bool:
    named = isinstance(record.get("file_name"), str) or isinstance(record.get("file_path"), str)
    return named and "sha256" in record and any(key in record for key in _LORA_MANAGER)


def _lora_manager(record: Record, model: Model) -> Heard:
    inner = entries(record.get("civitai"))
    file = civitai.file_of(inner, size=model.size, name=model.name)
    told = civitai.fields_of(inner, file)
    own: dict[Field, object] = {
        "name": record.get("model_name"),
        "type": record.get("sub_type") or record.get("model_type"),
        "civitai_model_base": record.get("base_model"),
        "civitai_model_version_desc": record.get("modelDescription"),
        "preview_url": record.get("preview_url"),
    }
    fields = told | {key: value for key, value in own.items() if _speaks(key, value, told)}
    recorded = record.get("size")
    if wording.number(recorded) and recorded != model.size:
        why = f"it was made for a file of {recorded} bytes, this one has {model.size}; its hashes are left out"
        return Heard(said=_said(fields, "civitai", model, {}, "lora manager"), odd=(why,))
    hashes = {"sha256": record.get("sha256"), "autov3": record.get("autov3")}
    return Heard(said=_said(fields, "civitai", model, hashes, "lora manager"))


def _speaks(key: Field, value: object, told: Mapping[Field, object]) -> bool:
    """Whether LoRA Manager's own word counts: a person may have changed name and base there, the rest only fills gaps."""
    if not told_of({key: value}, "civitai", ""):
        return False
    return key in ("name", "civitai_model_base") or not told_of({key: told.get(key)}, "civitai", "")


def _is_stability_matrix(record: Record) -> bool:
    return "ModelName" in record and any(key in record for key in ("ModelId", "VersionId", "Hashes", "ImportedAt"))


def _stability_matrix(record: Record, model: Model) -> Heard:
    fields: dict[Field, object] = {
        "name": first(record.get("UserTitle"), record.get("ModelName")),
        "type": record.get("ModelType"),
        "civitai_id": record.get("ModelId"),
        "civitai_version_id": record.get("VersionId"),
        "civitai_model_name": record.get("ModelName"),
        "civitai_model_base": record.get("BaseModel"),
        "civitai_model_type": record.get("ModelType"),
        "civitai_model_version_name": record.get("VersionName"),
        "civitai_model_version_desc": first(record.get("VersionDescription"), record.get("ModelDescription")),
        "civitai_trained_words": record.get("TrainedWords"),
        "civitai_nsfw": record.get("Nsfw"),
        "preview_url": record.get("ThumbnailImageUrl"),
    }
    return Heard(said=_said(fields, "civitai", model, entries(record.get("Hashes")), "stability matrix"))


def _is_rgthree(record: Record) -> bool:
    return "file" in record and "trainedWords" in record and ("links" in record or "raw" in record)


def _rgthree(record: Record, model: Model) -> Heard:
    inner = entries(entries(record.get("raw")).get("civitai"))
    spoken = [entries(word) for word in civitai.listed(record.get("trainedWords"))]
    fields = civitai.fields_of(inner, civitai.file_of(inner, size=model.size, name=model.name))
    fields |= {
        "name": first(fields["name"], record.get("name")),
        "type": first(fields["type"], record.get("type")),
        "civitai_model_base": first(fields["civitai_model_base"], record.get("baseModel")),
        "civitai_trained_words": [word.get("word") for word in spoken if word.get("civitai")],
    }
    return Heard(said=_said(fields, "civitai", model, {"sha256": record.get("sha256")}, "rgthree"))


def _is_family(record: Record) -> bool:
    return isinstance(record.get("modelVersions"), list) and "name" in record


def _family(record: Record, model: Model) -> Heard:
    """A model of CivitAI with all its versions: the one that has this file; without one, only what is true of all."""
    head = {key: record.get(key) for key in ("id", "name", "type", "nsfw", "description")}
    versions = [entries(version) for version in civitai.listed(record.get("modelVersions"))]
    named = [
        version for version in versions if any(file.get("name") == model.name for file in civitai.files_of(version))
    ]
    sized = [version for version in named or versions if civitai.file_of(version, size=model.size, name=model.name)]
    if len(sized) == 1:
        return _version({**sized[0], "modelId": record.get("id"), "model": head}, model)
    why = f"{len(sized)} of its {len(versions)} versions can be this file; only what all share is taken"
    return Heard(said=_said(civitai.fields_of({"model": head}, None), "civitai", model, {}, "civitai"), odd=(why,))


def _is_version(record: Record) -> bool:
    return "modelId" in record and "modelVersionId" not in record and isinstance(record.get("files"), list)


def _version(record: Record, model: Model) -> Heard:
    file = civitai.file_of(record, size=model.size, name=model.name)
    said = civitai.said(record, file, "civitai", model.at)
    if file is None and record.get("files"):
        return Heard(said=said, odd=(f"none of its files has {model.size} bytes as this one; its hashes are left out",))
    return Heard(said=said)


def _is_stablequeue(record: Record) -> bool:
    flat = ("name", "fileName", "downloadedFrom", "downloadUrl", "model", "sizeKB", "type", "description")
    return any(key in record for key in _STABLEQUEUE) and any(key in record for key in flat)


def _stablequeue(record: Record, model: Model) -> Heard:
    inner = entries(record.get("model"))
    shaped = {**record, "modelVersionId": first(record.get("modelVersionId"), record.get("civitaiVersionId"))}
    if "modelId" not in record:
        shaped["id"] = None
    fields = civitai.fields_of(shaped, None)
    if not inner.get("name"):
        fields["name"] = fields["civitai_model_name"] = record.get("name")
        fields["civitai_model_version_name"] = record.get("versionName")
    fields["type"] = fields["civitai_model_type"] = first(inner.get("type"), record.get("type"))
    fields["civitai_nsfw"] = first(fields["civitai_nsfw"], record.get("nsfw"))
    fields["civitai_download_url"] = first(fields["civitai_download_url"], record.get("downloadedFrom"))
    hashes, size = {**inner, **record}, first(record.get("sizeKB"), record.get("fileSizeKB"))
    if civitai.fits(size, model.size) is False:
        why = f"it was made for a file of {size} kB, this one has {model.size} bytes; its hashes are left out"
        return Heard(said=_said(fields, "civitai", model, {}, "stablequeue"), odd=(why,))
    fields["civitai_file_size_kb"] = size
    return Heard(said=_said(fields, "civitai", model, hashes, "stablequeue", short=False))


def _is_forge(record: Record) -> bool:
    if any(key in record for key in FORGE):
        return True
    return record.keys() <= _FORGE_ALL and any(isinstance(record.get(key), str) for key in ("description", "notes"))


def _forge(record: Record, model: Model) -> Heard:
    """A1111's and Forge's user metadata. "preferred weight" is the strength of a LoRA, not the size of anything."""
    fields: dict[Field, object] = {
        "civitai_model_base": record.get("sd version"),
        "civitai_model_version_desc": first(record.get("description"), record.get("notes")),
        "civitai_trained_words": record.get("activation text"),
    }
    return Heard(said=_said(fields, "forge", model, record, "forge", short=False))


def _said(
    fields: Mapping[Field, object], teller: Teller, model: Model, hashes: Record, who: str, *, short: bool = True
) -> Said:
    return Said(
        told=told_of(fields, teller, model.at),
        claims=claims_of(hashes, who, short=short),
        addresses=civitai.addresses_of(fields),
    )


_READERS: Final[tuple[tuple[Callable[[Record], bool], Reader], ...]] = (
    (_is_lora_manager, _lora_manager),
    (_is_stability_matrix, _stability_matrix),
    (_is_rgthree, _rgthree),
    (_is_family, _family),
    (_is_version, _version),
    (_is_stablequeue, _stablequeue),
    (_is_forge, _forge),
)
"""Of the formats that an object could be, the first; the most particular marks stand first."""
