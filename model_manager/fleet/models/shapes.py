"""What the routes answer about newer versions, sources, fetching, and the catalog's doctor."""

from __future__ import annotations

from dataclasses import dataclass

from model_manager.facts.sourcing import Teller, Weight
from model_manager.fleet.models.releases import State


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateCheck:
    """The check for newer versions that was begun last, by whichever aggregator of this state directory. `total` models have a
    number of CivitAI; of `fresh` ones it was asked lately; `asked` were answered, `absent` of them are not in its list, `doubtful`
    cannot be read. `updates`: models here of which a later version is known. Times are ISO 8601 UTC, "" for none."""

    state: State
    total: int
    fresh: int
    asked: int
    absent: int
    doubtful: int
    updates: int
    begun: str
    ended: str
    why: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A place where it could be had; `teller` says so, `weight` how sure that is, and `why`. `taken`: it is one that a machine is
    sent to when nobody names another."""

    url: str
    teller: Teller
    weight: Weight
    why: str
    taken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """Where a model could be had. `hash` and `size` are what is promised there. `why` says what to do when no place is taken, and
    `doubts` who could not be asked."""

    model: str
    hash: str | None
    size: int | None
    sources: tuple[Offered, ...]
    why: str
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedModel:
    """A model that machines were asked to fetch, and from where; `teller` "" where the request named the places."""

    path: str
    sources: tuple[str, ...]
    hash: str | None
    teller: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchAnswer:
    """Whether a machine took it; `why` not. `GET /downloads` says how far it is."""

    machine_id: str
    accepted: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOrdered:
    models: tuple[FetchedModel, ...]
    items: tuple[FetchAnswer, ...]
    message: str
