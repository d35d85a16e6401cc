"""What became of the jobs of a pool, and when its machines last needed which models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """Counts since the pool began. `claims`: jobs that were given to a worker, each attempt counts. Of these, `hot` were of a
    kind whose models the worker said it has loaded; for `fetched` the models were fetched while the job waited; `missing` were
    given back because a model was not there after all.

    `waiting`, `running`, `delayed` and `dead` are jobs as of now.
    """

    claims: int = 0
    hot: int = 0
    fetched: int = 0
    missing: int = 0
    waiting: int = 0
    running: int = 0
    delayed: int = 0
    dead: int = 0

    @property
    def efficiency(self) -> float | None:
        """The part of claims that went to a machine with all models; None before the first."""
        return (self.claims - self.missing) / self.claims if self.claims else None

    @property
    def hits(self) -> float | None:
        """The part of claims for which nothing had to be fetched; None before the first."""
        return (self.claims - self.fetched) / self.claims if self.claims else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Starved:
    """Jobs that wait for nothing but models: no machine can do them, and one could if it had all that they name. `models`: as
    jobs name them → how many of these jobs need it, wherever it is."""

    jobs: int
    models: Mapping[str, int]
