"""Models on the HuggingFace hub, which says the SHA-256 of a large file before it redirects to where the bytes are.

The headers are documented in huggingface_hub's `file_download.py` (`X-Linked-Etag`, `X-Linked-Size`, `X-Error-Code`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from yarl import URL

from model_manager.errors import NotAuthorized
from model_manager.facts.identity import Pin
from model_manager.sources.answering import Linked, Wish
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.transport.guard import is_at
from model_manager.sources.transport.web import Answer, Hop, Web

_SHA256 = re.compile(r'"?([0-9a-f]{64})"?')
_REPO = r"/(?:datasets/|spaces/)?[^/?#]+/[^/?#]+"
_PAGE = re.compile(rf"(?P<repo>[a-z]+://[^/?#]+{_REPO})/blob/(?P<rest>.+)", re.IGNORECASE | re.DOTALL)


class HuggingFaceOrigin(HttpsOrigin):
    """`hosts`: the hub and its mirrors, each `host` or `host:port`."""

    def __init__(self, web: Web, hosts: Iterable[str] = ("huggingface.co",)) -> None:
        super().__init__(web)
        self._hosts = frozenset(hosts)

    def claims(self, url: str) -> bool:
        return super().claims(url) and is_at(url, self._hosts)

    def _address(self, url: str) -> str:
        """`/blob/` is the page about a file, `/resolve/` the file."""
        page = _PAGE.fullmatch(url)
        return f"{page['repo']}/resolve/{page['rest']}" if page else url

    def _turning(self, wish: Wish, hop: Hop, headers: dict[str, str]) -> dict[str, str]:
        """The hub's digest is the proof: where it is ours still, the store may go on; its own ETag is not ours to know."""
        linked = self._said(hop.url, hop.headers).validator
        if linked is None or "If-Range" not in headers:
            return headers
        kept = {name: value for name, value in headers.items() if name != "If-Range"}
        return kept if linked == wish.validator else {name: value for name, value in kept.items() if name != "Range"}

    def _linked(self, answer: Answer) -> Linked:
        said = [self._said(hop.url, hop.headers) for hop in answer.hops]
        direct = replace(self._said(answer.url, answer.headers), proves=False)
        return next((linked for linked in (direct, *reversed(said)) if linked.pin or linked.size is not None), Linked())

    def _said(self, url: URL, headers: Mapping[str, str]) -> Linked:
        """What the hub itself says; any other host's word is nothing."""
        if not is_at(str(url), self._hosts):
            return Linked()
        digest = _SHA256.fullmatch(headers.get("X-Linked-Etag", "").strip().lower())
        size = headers.get("X-Linked-Size", "").strip()
        return Linked(
            pin=Pin(algorithms=("sha256",), hex=digest[1]) if digest else None,
            size=int(size) if size.isascii() and size.isdigit() and len(size) < 19 else None,
        )

    def _unauthorized(self, name: str, answer: Answer) -> NotAuthorized:
        why = "the file is private, gated or not there"
        if answer.headers.get("X-Error-Code") == "GatedRepo":
            page = re.match(_REPO, answer.url.path)
            why = f"the model is gated: accept its licence at https://{answer.host}{page[0] if page else ''}"
        return NotAuthorized(host=answer.host, status=answer.status, name=name, why=why, token="HF_TOKEN")  # noqa: S106
