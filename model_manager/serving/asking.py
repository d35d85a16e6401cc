"""What may be asked: every parameter with its limits, read and documented from one table."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiohttp import web

from model_manager.errors import BadRecord, printable
from model_manager.facts import wire
from model_manager.serving.problems import Answer, bad_body, bad_parameter

BODY_SECONDS: Final = 30.0
"""How long a request's body may take to arrive."""

MAX_NAME: Final = 512
"""Characters of a name in a question."""

MACHINE: Final = "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"
EVENT: Final = "^[0-9]{1,15}-[0-9]{1,10}$"

Asked = Mapping[str, Any]
"""Parameter → its value; those that were not given and have no default are None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """`kind` says how the text is read; `least` and `most` bound a number, `most` the length of a text."""

    name: str
    help: str
    kind: Literal["text", "integer", "flag", "cursor"] = "text"
    where: Literal["query", "path", "header"] = "query"
    default: Any = None
    required: bool = False
    least: int = 1
    most: int = MAX_NAME
    pattern: str = ""
    choices: tuple[str, ...] = ()

    def read(self, text: str) -> Any:
        """The value. Raises Answer 400 for what it cannot be."""
        match self.kind:
            case "integer":
                return self._number(text)
            case "flag":
                if text not in ("true", "false"):
                    raise bad_parameter(self.name, "is neither 'true' nor 'false'.")
                return text == "true"
            case "cursor":
                return _key(self.name, text)
            case _:
                return self._text(text)

    def _number(self, text: str) -> int:
        digits = re.fullmatch(r"[0-9]{1,10}", text)
        if not digits or not self.least <= int(text) <= self.most:
            raise bad_parameter(self.name, f"is no number from {self.least} to {self.most}.")
        return int(text)

    def _text(self, text: str) -> str:
        if not self.least <= len(text) <= self.most:
            span = str(self.least) if self.least == self.most else f"{self.least} to {self.most}"
            raise bad_parameter(self.name, f"is not {span} characters long.")
        if self.choices and text not in self.choices:
            raise bad_parameter(self.name, f"is none of {', '.join(self.choices)}.")
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise bad_parameter(self.name, f"does not look like {self.pattern}.")
        return text


def asked(request: web.Request, params: tuple[Param, ...]) -> Asked:
    """The request's parameters. Raises Answer 400 for one that is unknown, given twice, missing or unreadable."""
    known = {param.name: param for param in params if param.where == "query"}
    for name in request.query:
        if name not in known:
            fix = f"Use {', '.join(known)}." if known else "Leave it out."
            raise bad_parameter(name, f"is no parameter of this route. {fix}")
        if len(request.query.getall(name)) > 1:
            raise bad_parameter(name, "is given twice. Give it once.")
    return {param.name: _value(param, request) for param in params}


def _value(param: Param, request: web.Request) -> Any:
    given = request.match_info if param.where == "path" else request.query
    text = given.get(param.name)
    if text is None:
        if param.required:
            raise bad_parameter(param.name, "is missing.")
        return param.default
    return param.read(text)


async def asked_object(request: web.Request) -> dict[str, Any]:
    """The request's body as a JSON object. Raises Answer 400, 408 or 415 for anything else."""
    if request.content_type != "application/json":
        raise Answer(415, "media-type", "Send JSON with the header 'Content-Type: application/json'.")
    try:
        body = wire.loads_unique(await _arrived(request), "the body")
    except TimeoutError:
        detail = f"The body did not arrive within {BODY_SECONDS:.0f} s. Send it again."
        raise Answer(408, "slow-body", detail) from None
    except BadRecord as error:
        raise bad_body(f"The body cannot be read: {printable(error.facts['why'])}. Send a JSON object.") from None
    if not isinstance(body, dict):
        raise bad_body("The body is no JSON object. Send one.")
    return body


async def _arrived(request: web.Request) -> bytes:
    """The whole body. Raises TimeoutError. Most are there already, and need no clock."""
    if request.content.is_eof():
        return await request.read()
    async with asyncio.timeout(BODY_SECONDS):
        return await request.read()


def cursor_of(key: str) -> str:
    """An opaque cursor that goes on after `key`."""
    return base64.urlsafe_b64encode(key.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def _key(name: str, text: str) -> str:
    """The key in a cursor of ours."""
    try:
        if len(text) > 4 * MAX_NAME:
            raise ValueError
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode("utf-8", "surrogatepass")
    except (ValueError, binascii.Error):
        raise bad_parameter(name, "is no cursor of ours. Take 'next' of the page before, or leave it out.") from None
