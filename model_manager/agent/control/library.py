"""What a person may ask of the library through the socket: look, read again, track a directory, take in what others know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from model_manager.agent.control.socket import Action, Asked
from model_manager.agent.holdings.hashing import Hashing
from model_manager.agent.holdings.importing import Importing
from model_manager.agent.holdings.tracking import Tracking
from model_manager.agent.holdings.verifying import Verifying
from model_manager.errors import BadRequest, printable

LONGEST: Final = 4096
"""Letters of a path (PATH_MAX)."""


def library_actions(
    hashing: Hashing, verifying: Verifying, tracking: Tracking, importing: Importing, look: Callable[[], None]
) -> dict[str, Action]:
    """The name of a POST route → what it does. `look`: begin a full scan."""

    async def scan(_: Asked) -> dict[str, Any]:
        look()
        hashing.nudge()
        return {"accepted": True}

    async def verify(asked: Asked) -> dict[str, Any]:
        files = asked.get("files")
        if files is not None and not (isinstance(files, list) and all(isinstance(file, str) for file in files)):
            raise BadRequest(why="'files' is no list of paths", fix="Leave it out to verify everything.")
        return {"accepted": True, "files": verifying.ask(files)}

    async def directories(asked: Asked) -> dict[str, Any]:
        if asked.get("add") is not None:
            await tracking.add(_text(asked, "add"), _text(asked, "folder") if asked.get("folder") is not None else None)
        elif asked.get("remove") is not None:
            await tracking.remove(_text(asked, "remove"))
        return {"accepted": True, "directories": await tracking.all()}

    async def take_in(asked: Asked) -> dict[str, Any]:
        base = _text(asked, "base") if asked.get("base") is not None else None
        found = await importing.take(_text(asked, "path"), base=base, dry=asked.get("dry") is True)
        odd = [{"where": _shown(each.where), "why": _shown(each.why)} for each in found.odd]
        strangers = [_shown(file) for file in found.strangers]
        return {"accepted": True, "files": found.files, "strangers": strangers, "odd": odd}

    return {"scan": scan, "verify": verify, "directories": directories, "import": take_in}


def _shown(text: str) -> str:
    """Names of other programs' files need not be printable, nor UTF-8."""
    return printable(text, LONGEST)


def _text(asked: Asked, name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(why=f"'{name}' is missing or no text", fix=f'Send {{"{name}": "/a/path"}}.')
    return value
