"""Bodies and conditions of requests, as far as several routes read them alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from aiohttp import web

from model_manager.catalog.bodies import MAX_NAMES
from model_manager.catalog.records import Asked
from model_manager.serving.asking import Asked as Values
from model_manager.serving.problems import Answer, bad_body

T = TypeVar("T")


def names(body: Mapping[str, Any], key: str, *, required: bool = True) -> tuple[str, ...]:
    """The list of names under `key`, once each. Raises Answer 400 for any other shape; without it, unless it is not required."""
    values = body.get(key)
    if values is None and not required:
        return ()
    if not isinstance(values, list) or not set(map(type, values)) <= {str}:
        raise bad_body(f"{key} must be an array of strings.")
    if len(values) > MAX_NAMES:
        raise bad_body(f"{key} has {len(values)} entries; ask for at most {MAX_NAMES} at a time.")
    return tuple(dict.fromkeys(values))


def flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise bad_body(f"{key} must be true or false.")
    return value


def page(values: Values) -> Asked:
    """What a list is asked for."""
    return Asked(
        name=values["name"] or "",
        search=values["search"] or "",
        model_type=values.get("model_type") or "",
        base_model=values.get("base_model") or "",
        hash=values.get("hash") or "",
        auth_only=bool(values.get("auth_only")),
        after=values["after"] or "",
        limit=values["limit"],
        offset=values["offset"],
    )


def conditional(request: web.Request) -> bool:
    return "If-Match" in request.headers or "If-None-Match" in request.headers


def insist(request: web.Request, tag: str | None, what: str) -> None:
    """Hold If-Match and If-None-Match against the entity tag of what is there, None for nothing. Raises Answer 412."""
    wanted, unwanted = request.if_match, request.if_none_match
    if wanted is not None and (tag is None or not any(each.value in (tag, "*") for each in wanted)):
        raise Answer(
            412, "changed", f"{what} is not what If-Match names. Read it again, and write it with its new ETag."
        )
    if unwanted is not None and tag is not None and any(each.value in (tag, "*") for each in unwanted):
        raise Answer(412, "there", f"{what} is there already. Leave If-None-Match out to replace it.")


def identity(given: str | None, name: str | None, path: str | None = None) -> str:
    """The id of what is written: of the path, which the body may repeat; else of the body; else the name."""
    if path is not None and given not in (None, path):
        raise bad_body(f"id is '{given}', but the address says otherwise. Leave id out.")
    chosen = path or given or name
    if not chosen:
        raise bad_body("id or name is missing.")
    if not chosen.isprintable() or chosen != chosen.strip() or len(chosen) > 512:
        raise bad_body("id must be one line of at most 512 characters, without blanks around it.")
    return chosen
