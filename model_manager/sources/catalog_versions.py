"""What CivitAI says of the file behind one of its download addresses: `GET /api/v1/model-versions/{id}`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from model_manager.errors import StrangeAnswer
from model_manager.facts.identity import Pin
from model_manager.facts.record import without_token
from model_manager.sources.searching import Asker

_ADDRESS: Final = re.compile(r"/api/download/models/([0-9]{1,12})/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFile:
    """A file of a model version. `sha256` None: CivitAI has not hashed it yet."""

    name: str
    sha256: str | None


class CivitaiVersions:
    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def file_at(self, url: str) -> VersionFile | None:
        """The file that a download address leads to; None for other addresses, and for versions that are not there.

        Raises OriginUnavailable, NotAuthorized, StrangeAnswer.
        """
        number = _ADDRESS.fullmatch(urlsplit(url).path)
        if number is None:
            return None
        answer = await self._asker.ask("GET", f"api/v1/model-versions/{number[1]}", f"version {number[1]}")
        if answer is None:
            return None
        files = answer.get("files") if isinstance(answer, dict) else None
        if not isinstance(files, list):
            raise StrangeAnswer(host=self._asker.host, name=f"version {number[1]}", why="it lists no files")
        chosen = _chosen([file for file in files if isinstance(file, dict)], url)
        return _file(chosen) if chosen else None


def _chosen(files: list[dict[str, Any]], url: str) -> dict[str, Any] | None:
    """The file with this very address; without a query it is the primary one, or the only one."""
    plain = without_token(url)
    exact = [file for file in files if file.get("downloadUrl") == plain]
    primary = [file for file in files if file.get("primary") is True]
    for few in (exact, primary if "?" not in plain else [], files if "?" not in plain else []):
        if len(few) == 1:
            return few[0]
    return None


def _file(file: dict[str, Any]) -> VersionFile:
    hashes = file.get("hashes")
    pin = Pin.parse(f"sha256:{hashes.get('SHA256')}") if isinstance(hashes, dict) else None
    name = file.get("name")
    return VersionFile(name=name if isinstance(name, str) else "", sha256=pin.hex if pin else None)
