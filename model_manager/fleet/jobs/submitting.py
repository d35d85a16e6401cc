"""A request's body → the job that it means. Hashes and CivitAI's ids become words that routing knows."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast, get_args

from model_manager.errors import ModelManagerError, printable
from model_manager.facts import wire
from model_manager.facts.job import Job, Policy
from model_manager.serving.problems import Answer, bad_body

FIELDS: Final = {"asks", "payload", "id", "priority", "customer", "workflow", "max_attempts", "policy", "dry_run"}

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""CivitAI's version id, or an AutoV3 → the SHA-256 of files that are known to be it. Raises ModelManagerError."""

MOST_LOOKED_UP: Final = 16
"""Models of one job that are looked up."""

_HEX = re.compile(r"[0-9a-fA-F]+")
_ID = re.compile(r"civitai:([0-9]{1,12})")
_TOLD: Final = {64: "sha256:", 10: "autov2:"}
"""Digits of a hash that routing compares by itself."""

_ASKED: Final = (8, 12)
"""Digits of CRC32 and AutoV3, by which routing knows no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """A job as it is handed in. `asked`: a word of routing → the model as it was asked for, where the two differ."""

    job: Job
    dry: bool
    asked: dict[str, str]


class Words:
    """Models as people write them → as routing compares them. `lookup` None: nobody knows more."""

    def __init__(self, lookup: Lookup | None) -> None:
        self._lookup = lookup

    async def understood(self, models: Iterable[Any]) -> tuple[list[Any], dict[str, str]]:
        """Raises Answer 400 for one that cannot be told, 503 while it cannot be looked up."""
        found, asked, looked = [], {}, 0
        for model in models:
            word = plain(model)
            if word is None and isinstance(model, str):
                looked += 1
                if looked > MOST_LOOKED_UP:
                    raise bad_body(f"More than {MOST_LOOKED_UP} models must be looked up. Give their SHA-256.")
                word = await self.sha256_of(model)
            if isinstance(word, str) and word != model:
                asked[word] = model
            found.append(model if word is None else word)
        return found, asked

    async def sha256_of(self, model: str) -> str:
        """`sha256:…` of what must be looked up. Raises Answer."""
        shown = printable(model, 100)
        if self._lookup is None:
            raise bad_body(
                f"'{shown}' cannot be looked up here, for CivitAI is not asked. Give its SHA-256 or its name."
            )
        version = _ID.fullmatch(model)
        try:
            known = await self._lookup(version[1] if version else model)
        except ModelManagerError as error:
            raise Answer(503, "lookup-away", f"{printable(error)} Or give the SHA-256 of '{shown}'.") from None
        if not known:
            raise bad_body(
                f"Nobody here knows '{shown}'. Give its SHA-256 or its name, or refresh its model's metadata."
            )
        return f"sha256:{known[0].lower()}"


def plain(model: Any) -> Any:
    """As routing takes it; None for a text that has to be looked up first."""
    if not isinstance(model, str):
        return model
    if _HEX.fullmatch(model):
        kind = _TOLD.get(len(model))
        if kind:
            return kind + model.lower()
        return None if len(model) in _ASKED else model
    return None if _ID.fullmatch(model) else model


def listed(models: Any) -> list[Any]:
    """What `models` of a requirement may be: a list, or one by itself."""
    if models is None or models == "all":
        return []
    return list(models) if isinstance(models, list) else [models]


async def meant(body: dict[str, Any], words: Words) -> Meant:
    """Raises Answer 400 for what is misspelt."""
    if unknown := sorted(str(name) for name in body.keys() - FIELDS):
        raise bad_body(
            f"The job has unknown fields: {printable(', '.join(unknown), 200)}. Use {', '.join(sorted(FIELDS))}."
        )
    asks = body.get("asks", {})
    if not isinstance(asks, dict):
        raise bad_body("'asks' must be an object, as docs/routing.md has it.")
    models, asked = await words.understood(listed(asks.get("models")))
    if models:
        asks = {**asks, "models": models}
    packed(asks)
    dry = body.get("dry_run", False)
    if not isinstance(dry, bool):
        raise bad_body("'dry_run' must be true or false.")
    job = Job(
        id=_text(body, "id", 200) or secrets.token_hex(16),
        asks=asks,
        payload=_payload(body.get("payload")),
        priority=_number(body, "priority", 0, -1000, 1000),
        customer=_text(body, "customer", 200),
        workflow=_text(body, "workflow", 512),
        max_attempts=_number(body, "max_attempts", 3, 1, 100),
        policy=policy_of(body.get("policy", "wait")),
    )
    return Meant(job=job, dry=dry, asked=asked)


def policy_of(value: Any) -> Policy:
    """Raises Answer 400 for none."""
    if value not in get_args(Policy):
        raise bad_body(f"'policy' is none of {', '.join(get_args(Policy))}.")
    return cast(Policy, value)


def named(meant_: Meant, identity: str) -> Meant:
    """The same under another id."""
    return replace(meant_, job=replace(meant_.job, id=identity))


def _payload(value: Any) -> bytes:
    if value is None:
        return b""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else packed(value)


def packed(value: Any) -> bytes:
    """As JSON. Raises Answer 400 for numbers that could not be given back."""
    try:
        return wire.dumps(value)
    except TypeError:
        raise bad_body(
            "It holds a whole number beyond 64 bits, or a text that is no Unicode. Send such as text."
        ) from None


def _text(body: dict[str, Any], name: str, most: int) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or len(value) > most or not (value.isprintable() or not value):
        raise bad_body(f"'{name}' must be a text of at most {most} characters, without control characters.")
    return value


def _number(body: dict[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = body.get(name, default)
    if type(value) is not int or not least <= value <= most:
        raise bad_body(f"'{name}' must be a whole number from {least} to {most}.")
    return value
