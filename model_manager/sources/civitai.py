"""Models on CivitAI, which shows a login page where others answer 401."""

from __future__ import annotations

from collections.abc import Iterable

from model_manager.errors import ModelManagerError, NotAuthorized
from model_manager.facts.record import without_token
from model_manager.sources.https import HttpsOrigin
from model_manager.sources.transport.guard import is_at
from model_manager.sources.transport.web import Answer, Web


class CivitaiOrigin(HttpsOrigin):
    """`hosts`: CivitAI and its mirrors, each `host` or `host:port`."""

    def __init__(self, web: Web, hosts: Iterable[str] = ("civitai.com",)) -> None:
        super().__init__(web)
        self._hosts = frozenset(hosts)

    def claims(self, url: str) -> bool:
        return super().claims(url) and is_at(url, self._hosts)

    def _address(self, url: str) -> str:
        """A token in the address would be anybody's, and would be shown; ours goes into a header."""
        return without_token(url)

    def _failure(self, name: str, answer: Answer) -> ModelManagerError | None:
        if is_at(str(answer.url), self._hosts) and answer.url.path.rstrip("/").endswith("/login"):
            return self._unauthorized(name, answer)
        return super()._failure(name, answer)

    def _unauthorized(self, name: str, answer: Answer) -> NotAuthorized:
        why = "the file is only for those who are signed in"
        return NotAuthorized(host=answer.host, status=answer.status, name=name, why=why, token="CIVITAI_TOKEN")  # noqa: S106
