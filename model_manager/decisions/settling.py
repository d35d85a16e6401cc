"""Which changed paths are calm enough to be looked at?"""

from __future__ import annotations

from collections.abc import Mapping
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


def settle(before: Mapping[str, Seen], now_there: Mapping[str, Fingerprint | None], now: float, rest: float) -> Settled:
    """A path is calm when it looked the same for `rest` seconds, or is gone: nothing is indexed while it still grows."""
    calm: list[str] = []
    restless: dict[str, Seen] = {}
    for path, fingerprint in now_there.items():
        last = before.get(path)
        if fingerprint is None:
            calm.append(path)
        elif last is None or last.fingerprint != fingerprint:
            restless[path] = Seen(fingerprint=fingerprint, since=now)
        elif now - last.since >= rest:
            calm.append(path)
        else:
            restless[path] = last
    return Settled(calm=tuple(calm), restless=restless)
