"""The pages of the fleet for a browser: static files below `/ui/`, and the one document for every view of theirs."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from model_manager.errors import printable
from model_manager.serving.answering import has, tag_of, takes_gzip
from model_manager.serving.problems import Answer

HERE: Final = Path(__file__).parent / "ui"

TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What is served, by the ending of its name; anything else in the directory stays there."""

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing from elsewhere, nothing inline; and no script may turn text into markup."""

DOCUMENT: Final = "index.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file as it is sent: plain, and compressed once for everybody."""

    body: bytes
    packed: bytes
    tag: str
    type: str


def files(here: Path = HERE) -> dict[str, File]:
    """Every file that is served, by its path below `here`."""
    found = (path for path in sorted(here.rglob("*")) if path.suffix in TYPES)
    return {path.relative_to(here).as_posix(): _file(path) for path in found}


def _file(path: Path) -> File:
    body = path.read_bytes()
    return File(body=body, packed=gzip.compress(body, mtime=0), tag=tag_of(body), type=TYPES[path.suffix])


class Pages:
    """Read once, at the start."""

    def __init__(self, known: Mapping[str, File]) -> None:
        self._files = known

    def mount(self, application: web.Application) -> None:
        """Routes for people; the API's document does not tell of them."""
        router = application.router
        router.add_get("/", self._enter)
        router.add_get("/ui", self._enter)
        router.add_get("/ui/assets/{path:.+}", self._asset)
        router.add_get("/ui/{view:.*}", self._view)

    async def _enter(self, _: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/ui/"})

    async def _view(self, request: web.Request) -> web.StreamResponse:
        """Every view is the same document; which one it shows is read from the address by its script."""
        return _sent(request, self._files[DOCUMENT])

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        if path not in self._files:
            raise Answer(404, "no-file", f"The pages have no file {printable(path, 100)}. Open /ui/.")
        return _sent(request, self._files[path])


def _sent(request: web.Request, file: File) -> web.Response:
    headers = {
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding",
        "ETag": f'W/"{file.tag}"',
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    if has(request, file.tag):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = file.type
    if takes_gzip(request.headers.get("Accept-Encoding", "")):
        return web.Response(body=file.packed, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=file.body, headers=headers)
