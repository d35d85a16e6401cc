"""Environment + file → one frozen Settings, or every problem at once."""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model_manager.errors import BadSetting, BadSettings
from model_manager.settings.fields import SECRETS, Settings, names

FILE_VARIABLE = "MODEL_MANAGER_SETTINGS"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment and the TOML file that MODEL_MANAGER_SETTINGS names (environment wins).

    Raises BadSettings with every problem found.
    """
    problems: list[BadSetting] = []
    given = _merged(
        _from_file(environ, problems), _trimmed({name: environ[name] for name in names() if name in environ})
    )
    _read_secret_files(environ, given, problems)
    _see_typos(environ, problems)
    _see_contradictions(given, problems)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        problems += [_explained(dict(item)) for item in error.errors()]
    except BadSetting as error:
        problems.append(error)
    if problems:
        raise BadSettings(tuple(problems))
    return settings


def _merged(file: dict[str, Any], environ: dict[str, Any]) -> dict[str, Any]:
    """The environment wins, whichever of a field's names each of the two uses."""
    said = {names()[name] for name in environ}
    return {name: value for name, value in file.items() if names()[name] not in said} | environ


def _trimmed(given: dict[str, Any]) -> dict[str, Any]:
    """Blanks around a value are nobody's intention; a blank value is none."""
    texts = {name: value.strip() if isinstance(value, str) else value for name, value in given.items()}
    return {name: value for name, value in texts.items() if value != ""}


def _from_file(environ: Mapping[str, str], problems: list[BadSetting]) -> dict[str, Any]:
    path = environ.get(FILE_VARIABLE)
    if not path:
        return {}
    try:
        content = tomllib.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        problems.append(
            BadSetting(name=FILE_VARIABLE, why=f"{path} cannot be read ({error})", fix="Write valid TOML there.")
        )
        return {}
    for name in content.keys() - names().keys():
        problems.append(_unknown(name, f"{name} in {path}"))
    return _trimmed({name: value for name, value in content.items() if name in names()})


def _read_secret_files(environ: Mapping[str, str], given: dict[str, Any], problems: list[BadSetting]) -> None:
    for name in SECRETS:
        variable = f"{name}_FILE"
        path = environ.get(variable, "").strip()
        if not path:
            continue
        try:
            content = _secret_in(Path(path))
        except (OSError, ValueError) as error:
            problems.append(
                BadSetting(name=variable, why=f"{path}: {error}", fix=f"Put the token alone into it; chmod 600 {path}.")
            )
            continue
        if given.setdefault(name, content) != content:
            problems.append(
                BadSetting(name=name, why=f"it differs from what {variable} holds", fix="Set one of the two.")
            )


def _secret_in(path: Path) -> str:
    """The one line of a token file. Raises ValueError when others may read the file or it is no token."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ValueError(f"its mode is {mode:04o}, others can read it")
    content = path.read_text().strip()
    if not content or len(content.split()) != 1:
        raise ValueError("it does not hold exactly one token")
    return content


def _see_typos(environ: Mapping[str, str], problems: list[BadSetting]) -> None:
    known = names().keys() | {FILE_VARIABLE} | {f"{name}_FILE" for name in SECRETS}
    ours = ("MODEL_MANAGER_", "MODEL_DOWNLOAD_")
    problems += [
        _unknown(name, name)
        for name in environ
        if name.startswith(ours) and name not in known and not name.startswith("MODEL_MANAGER_TEST_")
    ]


def _unknown(name: str, subject: str) -> BadSetting:
    near = difflib.get_close_matches(name, names(), n=1)
    fix = f"Did you mean {near[0]}?" if near else "docs/settings.md lists all names."
    return BadSetting(name=subject, why="no such setting", fix=fix)


def _see_contradictions(given: dict[str, Any], problems: list[BadSetting]) -> None:
    by_field: dict[str, list[str]] = {}
    for name in given:
        by_field.setdefault(names()[name], []).append(name)
    for same in by_field.values():
        if len({str(given[name]) for name in same}) > 1:
            problems.append(
                BadSetting(name=" and ".join(same), why="they mean the same and differ", fix="Set one of them.")
            )


def _explained(item: dict[str, Any]) -> BadSetting:
    name = str(item["loc"][0]) if item["loc"] else "settings"
    field = names().get(name, name)
    info = Settings.model_fields.get(field)
    shown = next((alias for alias, target in names().items() if target == field), name) if name == field else name
    why = str(item["msg"]).removeprefix("Value error, ")
    return BadSetting(
        name=shown, why=why[:1].lower() + why[1:], fix=f"Write: {info.description if info else 'a valid value'}."
    )
