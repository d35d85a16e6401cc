"""What the index knows, as those see it who list, look up and compare: models by their content, with all their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from model_manager.facts.description import Address, Claim, Told
from model_manager.facts.disk import Evidence, Fingerprint
from model_manager.facts.identity import Digests
from model_manager.facts.shelf import runs_code

Outcome = Literal["found", "absent", "doubtful"]
"""What a remote service said of a hash: it knows the model, it does not, or what it said could not be read. No answer at all
is no outcome."""

Order = Literal["name", "size", "added"]
"""Of a listing: by folder and name; large before small; new before old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One file and what is known of its content. `file` and `root` are absolute paths, `folder` and `name` those of its
    ShelfPath. `digests` are those of the content: another file of the same bytes may be the one that was read.

    `quick` is the quick hash, "" when it was not taken: a hint, never an identity. `type`, `base_model` and `title` are the
    best that anybody told, "" when nobody did. `claims` are hashes that others claim, as hex. `bundle` is the key of the
    model of several files that it belongs to, "" for a model of one file. `trouble` says why it could not be read whole, "" when
    it could, or was not tried. `verified_at` and `first_seen` are ISO 8601 UTC.
    """

    content_id: int
    file: str
    root: str
    folder: str
    name: str
    fingerprint: Fingerprint
    digests: Digests | None = None
    quick: str = ""
    evidence: Evidence | None = None
    against: str = ""
    verified_at: str = ""
    first_seen: str = ""
    bundle: str = ""
    trouble: str = ""
    type: str = ""
    base_model: str = ""
    title: str = ""
    claims: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes."""
        return self.fingerprint.size

    @property
    def verified(self) -> bool:
        return self.evidence is not None

    @property
    def runs_code(self) -> bool:
        """Loading it can run code that is in it, verified or not."""
        return runs_code(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Files of one content, of which at least two lie on the disk for themselves (links to one file are one)."""

    content_id: int
    size: int
    digests: Digests
    locations: tuple[Known, ...]

    @property
    def copies(self) -> int:
        """Files on the disk: locations with one (device, inode) count once."""
        return len({(known.fingerprint.device, known.fingerprint.inode) for known in self.locations})

    @property
    def spare_bytes(self) -> int:
        """What the copies take beyond the first."""
        return (self.copies - 1) * self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a service said of a SHA-256. `at` and `due` are Unix seconds: when, and from when on it may be asked again.
    `times`: how often in a row it said the same."""

    sha256: str
    outcome: Outcome
    at: float
    due: float
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A SHA-256 that a service should be asked for, a file that has it, and what it said `before`, if it was asked."""

    sha256: str
    file: str
    before: Answer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A content that was here and is not any more. `file` is where it lay last; `addresses` say where it could come from."""

    content_id: int
    size: int
    digests: Digests
    file: str
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """Everything that is known of one content. `told` holds every teller's word; `samples` are quick hashes of other
    programs as (formula, hex); `last_file` is where it lay last, "" while it has locations; `answers` are (service, its
    last answer)."""

    content_id: int
    size: int
    digests: Digests | None
    quick: str
    locations: tuple[Known, ...]
    addresses: tuple[Address, ...]
    claims: tuple[Claim, ...]
    samples: tuple[tuple[str, str], ...]
    told: tuple[Told, ...]
    previews: tuple[str, ...]
    answers: tuple[tuple[str, Answer], ...]
    last_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The index in figures. `verified` and `read` count files, `contents` what the files contain, `troubled` files that could
    not be read whole, `pickles` files that can run code when they are loaded, `missing` contents whose digest is known and that lie nowhere any more."""

    files: int
    bytes: int
    contents: int
    verified: int
    read: int
    unread_bytes: int
    troubled: int
    pickles: int
    missing: int
