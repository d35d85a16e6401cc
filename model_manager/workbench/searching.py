"""Whom a person has asked where a model can be had: the catalog by its name, HuggingFace and CivitAI by the name of its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from model_manager.decisions.sourcing import queries
from model_manager.errors import ModelManagerError, Unavailable
from model_manager.facts.model import Model
from model_manager.facts.resolution import Wish
from model_manager.facts.sourcing import Find

MOST: Final = 100
"""Models that are searched for in one command: each is a handful of questions."""


class Search(Protocol):
    """One service that is searched by name."""

    @property
    def host(self) -> str: ...

    async def finds(self, name: str, queries: Sequence[str]) -> tuple[Find, ...]: ...


class Names(Protocol):
    """A catalog that is asked for models by name."""

    async def models(self, names: Sequence[str]) -> dict[str, Model | ModelManagerError]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was heard of one file; `doubts` say who could not be asked, and why."""

    catalog: Model | None = None
    finds: tuple[Find, ...] = ()
    doubts: tuple[str, ...] = ()


class Searching:
    """One file after the other; who fails once is not asked again in this command."""

    def __init__(self, services: Sequence[Search], catalog: Names | None) -> None:
        self._services = services
        self._catalog = catalog
        self._failed: dict[str, str] = {}

    async def of(self, wish: Wish, *, online: bool) -> Heard:
        """What each of them knows. Without `online` only the catalog is asked, which is the operator's own."""
        catalog = await self._catalogued(wish)
        finds: list[Find] = []
        for service in self._services if online else ():
            if service.host not in self._failed:
                try:
                    finds += await service.finds(wish.name.rpartition("/")[2], queries(wish.name))
                except ModelManagerError as error:
                    self._failed[service.host] = str(error)
        return Heard(catalog=catalog, finds=tuple(finds), doubts=tuple(self._failed.values()))

    async def _catalogued(self, wish: Wish) -> Model | None:
        if self._catalog is None or "catalog" in self._failed:
            return None
        name = wish.name.rpartition("/")[2]
        try:
            found = (await self._catalog.models([name])).get(name)
        except ModelManagerError as error:
            found = error
        if isinstance(found, Unavailable):
            self._failed["catalog"] = str(found)
        return found if isinstance(found, Model) else None
