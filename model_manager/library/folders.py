"""Which directories hold models: our store as ComfyUI sees it, ComfyUI's further directories as we see them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import yaml

from model_manager.errors import BadSetting, RootAway
from model_manager.facts.disk import Root
from model_manager.facts.resolution import Extra
from model_manager.facts.shelf import CATEGORY_OF, COMPANIONS, WEIGHTS
from model_manager.library.disk import translating

_LEGACY: Final = {"unet": "diffusion_models", "clip": "text_encoders"}
"""Keys that ComfyUI itself renames (folder_paths.map_legacy)."""

FOLDERS: Final = (
    *(
        "audio_encoders",
        "background_removal",
        "checkpoints",
        "clip",
        "clip_vision",
        "configs",
        "controlnet",
        "detection",
    ),
    *("diffusers", "diffusion_models", "embeddings", "frame_interpolation", "geometry_estimation", "gligen"),
    *("hypernetworks", "latent_upscale_models", "loras", "model_patches", "optical_flow", "photomaker", "style_models"),
    *("t2i_adapter", "text_encoders", "unet", "upscale_models", "vae", "vae_approx"),
)
"""Folders below models that ComfyUI knows by itself (folder_paths.py); custom nodes add others."""

_ENDINGS: Final = WEIGHTS | COMPANIONS
_NO_MODELS: Final = frozenset({"custom_nodes"})
_MAX_BYTES: Final = 1 << 20
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})", re.ASCII)
_FIX: Final = "Correct it as ComfyUI's extra_model_paths.yaml.example shows."


def extra_roots(yaml_path: str, variables: Mapping[str, str]) -> tuple[Root, ...]:
    """The directories of an extra_model_paths.yaml, by category in ComfyUI's order of search.

    Read as ComfyUI's utils/extra_config.py does: any groups, `base_path` relative to the file and with `~` and
    `$VARIABLES` from `variables` (the environment), `is_default` puts its directories first, values are lists by line and nothing is stripped.
    Raises BadSetting for what ComfyUI would fail on.
    """
    places: dict[str, list[str]] = {}
    for category, path, first in _entries(_load(yaml_path), yaml_path, variables):
        known = places.setdefault(_LEGACY.get(category, category), [])
        if first and path in known:
            known.remove(path)
        if path not in known:
            known.insert(0 if first else len(known), path)
    return tuple(
        Root(path=path, folder=category)
        for category, paths in places.items()
        if category not in _NO_MODELS
        for path in paths
    )


def extra_places(yaml_path: str, variables: Mapping[str, str]) -> tuple[Extra, ...]:
    """The same, entry by entry in the file's order, for who has to know how it joins ComfyUI's own directories."""
    return tuple(
        Extra(category=_LEGACY.get(category, category), path=path, first=first)
        for category, path, first in _entries(_load(yaml_path), yaml_path, variables)
        if category not in _NO_MODELS
    )


def extra_model_paths(store: str | os.PathLike[str], folders: Iterable[str] = FOLDERS) -> str:
    """The YAML that shows a store to ComfyUI (`--extra-model-paths-config`), before its own directories.

    Raises BadSetting when the store's path has characters that ComfyUI would expand.
    """
    store = os.path.abspath(store)
    if "$" in store or "\n" in store:
        raise _wrong(store, "ComfyUI would expand the '$' or the line break in it", "Move the store to a plain path.")
    categories: dict[str, list[str]] = {}
    for folder in sorted(set(folders)):
        categories.setdefault(CATEGORY_OF.get(folder, folder), []).append(folder)
    group = {"base_path": store, "is_default": True}
    body = {category: "\n".join(names) for category, names in categories.items()}
    return yaml.safe_dump({"model_manager": {**group, **body}}, sort_keys=False, allow_unicode=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """What was done in ComfyUI's models directory, as paths relative to it. `kept` are places that somebody else has."""

    linked: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def expose(store: str | os.PathLike[str], comfy_models: str | os.PathLike[str]) -> Exposed:
    """Link every file of the store into `<ComfyUI>/models`, and remove our links whose file is gone. Idempotent.

    A directory there that is itself a link is left alone: if it leads into the store its files are seen already.
    Raises RootAway when one of the two is not there, DiskUnavailable or NoSpace.
    """
    store, comfy_models = os.path.abspath(store), os.path.abspath(comfy_models)
    for path in (store, comfy_models):
        if not os.path.isdir(path):
            raise RootAway(root=path, why="it does not exist")
    if os.path.samefile(store, comfy_models):
        return Exposed()
    with translating(comfy_models, "link into"):
        removed = tuple(_cleared(store, comfy_models))
        linked: list[str] = []
        kept: list[str] = []
        for place in _files(store):
            done = _link(store, comfy_models, place)
            if done is not None:
                (linked if done else kept).append(place)
    return Exposed(linked=tuple(linked), removed=removed, kept=tuple(kept))


def problems(roots: Sequence[Root]) -> tuple[BadSetting, ...]:
    """What is wrong with roots that were never seen before, every problem at once. Nothing is created.

    Do not ask for roots that carry a known marker: a missing one of those is away, not misconfigured.
    """
    alone = (problem for root in roots for problem in _problems_of(root))
    pairs = (problem for one, other in combinations(roots, 2) for problem in _problems_between(one, other))
    return (*alone, *pairs)


def _problems_of(root: Root) -> Iterator[BadSetting]:
    if not os.path.lexists(root.path):
        yield _wrong(
            root.path, "it does not exist", "Create it, or correct the path; a mistyped path is never created."
        )
    elif not os.path.isdir(root.path):
        yield _wrong(root.path, "it is not a directory", "Name the directory that holds the model folders.")
    elif not os.access(root.path, os.R_OK | os.X_OK, effective_ids=True):
        yield _wrong(root.path, "we may not read it", "Let the user that runs model_manager read it.")
    elif root.own and not os.access(root.path, os.W_OK, effective_ids=True):
        yield _wrong(root.path, "we may not write to it", "Let the user that runs model_manager write there.")


def _problems_between(one: Root, other: Root) -> Iterator[BadSetting]:
    if not (one.own and other.own and os.path.isdir(one.path) and os.path.isdir(other.path)):
        return
    first, second = os.path.realpath(one.path), os.path.realpath(other.path)
    if os.path.samefile(first, second):
        yield _wrong(other.path, f"it is the same directory as {one.path}", "Name each directory once.")
    elif os.path.commonpath((first, second)) in (first, second):
        yield _wrong(other.path, f"one of it and {one.path} is inside the other", "Name the outer one only.")


def _load(yaml_path: str) -> dict[str, Any]:
    try:
        with open(yaml_path, "rb") as file:
            body = yaml.safe_load(file.read(_MAX_BYTES))
    except (OSError, yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        raise _wrong(yaml_path, f"it cannot be read ({error})", _FIX) from None
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise _wrong(yaml_path, "it is not a list of groups by name", _FIX)
    return body


def _entries(body: dict[str, Any], yaml_path: str, variables: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    """(category, absolute path, whether it goes first) in the file's order."""
    beside = os.path.dirname(os.path.abspath(yaml_path))
    for name, group in body.items():
        if group is None:
            continue
        if not isinstance(group, dict):
            raise _wrong(yaml_path, f"group '{name}' is not a list of categories", _FIX)
        base = os.path.join(beside, _base(group.get("base_path"), name, yaml_path, variables))
        for category, lines in group.items():
            if category in ("base_path", "is_default"):
                continue
            if not isinstance(lines, str):
                raise _wrong(yaml_path, f"'{category}' in group '{name}' is not a path or a list by line", _FIX)
            for line in filter(None, lines.split("\n")):
                yield str(category), os.path.normpath(os.path.join(base, line)), bool(group.get("is_default"))


def _base(value: object, group: str, yaml_path: str, variables: Mapping[str, str]) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(yaml_path, f"base_path of group '{group}' is not a path", _FIX)
    head, slash, rest = value.partition("/")
    if head == "~":
        head = variables.get("HOME", "~").rstrip("/")
    elif head.startswith("~"):
        head = os.path.expanduser(head)
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], found[0]), head + slash + rest)


def _wrong(path: str, why: str, fix: str) -> BadSetting:
    return BadSetting(name=path, why=why, fix=fix)


def _files(store: str) -> Iterator[str]:
    """Files of the store below its folders, relative, in order."""
    for path, folders, names in os.walk(store):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if path == store:
            continue
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in _ENDINGS:
                yield os.path.relpath(os.path.join(path, name), store)


def _link(store: str, comfy_models: str, place: str) -> bool | None:
    """True when a link was made, None when the file is seen already, False when the place is somebody else's."""
    target, spot = os.path.join(store, place), os.path.join(comfy_models, place)
    blocked = _made_way(comfy_models, os.path.dirname(place))
    if blocked is not None:
        return None if _leads_into(blocked, store) else False
    if not os.path.lexists(spot):
        os.symlink(target, spot)
        return True
    return None if os.path.islink(spot) and os.path.realpath(spot) == os.path.realpath(target) else False


def _made_way(comfy_models: str, folder: str) -> str | None:
    """Make the directories down to `folder`; the first step that is no plain directory, if one is not."""
    path = comfy_models
    for part in folder.split("/"):
        path = os.path.join(path, part)
        with suppress(FileExistsError):
            os.mkdir(path)
        if os.path.islink(path) or not os.path.isdir(path):
            return path
    return None


def _leads_into(path: str, store: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(store) + "/")


def _cleared(store: str, comfy_models: str) -> Iterator[str]:
    """Remove links of ours (absolute, into the store) that lead nowhere; yields them."""
    for path, _, names in os.walk(comfy_models):
        for name in names:
            spot = os.path.join(path, name)
            if os.path.islink(spot) and os.readlink(spot).startswith(store + "/") and not os.path.exists(spot):
                os.unlink(spot)
                yield os.path.relpath(spot, comfy_models)
