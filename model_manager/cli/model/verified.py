"""What reading files once more came to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_manager.facts.disk import Held


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`rotten`: files with other bytes than before; `unread`: changed, gone or unreadable, and why; the others are `sound`."""

    sound: tuple[str, ...]
    rotten: tuple[str, ...]
    unread: Mapping[str, str]
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
            "why": dict(self.unread),
            "seconds": self.seconds,
        }


def judged(asked: Sequence[str], rotten: Collection[Held], unread: Mapping[str, str], seconds: float) -> Verdict:
    """What was neither found rotten nor left `unread` (file → why) was read and is as it was."""
    bad = {held.file for held in rotten}
    return Verdict(
        sound=tuple(file for file in asked if file not in bad and file not in unread),
        rotten=tuple(sorted(bad)),
        unread={file: why for file, why in sorted(unread.items()) if file not in bad},
        seconds=seconds,
    )
