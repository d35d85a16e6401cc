"""Which changed paths are calm enough to be looked at?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from model_manager.facts.disk import Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A changed path as last looked at; `fingerprint` is None when it was gone; `since` in monotonic seconds."""

    fingerprint: Fingerprint | None
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`calm` paths rest and are taken up; `restless` are looked at again later."""

    calm: tuple[str, ...]
    restless: Mapping[str, Seen]


def settle(
    before: Mapping[str, Seen],
    now_there: Mapping[str, Fingerprint | None],
    now: float,
    rest: float,
    at_rest: Collection[str] = (),
) -> Settled:
    """A path is calm when it looked the same for `rest` seconds, is gone, or is known to be `at_rest`: nothing is indexed
    while it still grows."""
    calm: list[str] = []
    restless: dict[str, Seen] = {}
    for path, fingerprint in now_there.items():
        last = before.get(path)
        if fingerprint is None or path in at_rest:
            calm.append(path)
        elif last is None or last.fingerprint != fingerprint:
            restless[path] = Seen(fingerprint=fingerprint, since=now)
        elif now - last.since >= rest:
            calm.append(path)
        else:
            restless[path] = last
    return Settled(calm=tuple(calm), restless=restless)


def due(restless: Mapping[str, Seen], now: float, rest: float) -> list[str]:
    """Paths that have to be looked at again by now."""
    return [path for path, seen in restless.items() if now - seen.since >= rest]


def next_due(restless: Mapping[str, Seen], rest: float) -> float | None:
    """The monotonic second at which the first path is due, None when all is calm."""
    return min(seen.since for seen in restless.values()) + rest if restless else None
