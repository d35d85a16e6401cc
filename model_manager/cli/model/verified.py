"""What reading files once more came to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_manager.facts.disk import Held


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`rotten`: files with other bytes than before; `unread`: changed, gone or unreadable; the others are `sound`."""

    sound: tuple[str, ...]
    rotten: tuple[str, ...]
    unread: tuple[str, ...]
    seconds: float

    @property
    def files(self) -> int:
        return len(self.sound) + len(self.rotten) + len(self.unread)

    def shape(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "sound": len(self.sound),
            "rotten": list(self.rotten),
            "unread": list(self.unread),
            "seconds": self.seconds,
        }


def judged(
    asked: Sequence[str],
    before: Mapping[str, Held],
    after: Mapping[str, Held],
    rotten: Collection[Held],
    seconds: float,
    hidden: Collection[str] = (),
) -> Verdict:
    """A file that nobody vouched for cannot be told to be read by its date, only not to be by being `hidden`: gone, another
    or unreadable. Of the others one with the old date was not."""
    bad = {held.file for held in rotten}
    old = {file for file in asked if before[file].verified and _is_old(before[file], after.get(file))}
    unread = (old | {file for file in hidden if not before[file].verified}) - bad
    return Verdict(
        sound=tuple(file for file in asked if file not in bad | unread),
        rotten=tuple(sorted(bad)),
        unread=tuple(sorted(unread)),
        seconds=seconds,
    )


def _is_old(before: Held, after: Held | None) -> bool:
    return after is None or after.verified_at == before.verified_at
