"""Who and what: digests and pins of content, ids of machines, names of tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from model_manager.errors import BadSetting, Broken

Algorithm = Literal["sha256", "blake3", "md5", "crc32", "autov2", "autov3", "tensor"]
TokenName = Literal["HF_TOKEN", "CIVITAI_TOKEN"]

TOKEN_NAMES: Final[dict[str, TokenName]] = {
    "hf_token": "HF_TOKEN",
    "huggingface": "HF_TOKEN",
    "civitai_token": "CIVITAI_TOKEN",
    "civitai_api_key": "CIVITAI_TOKEN",
    "civitai": "CIVITAI_TOKEN",
}
"""What catalogs write in authEnvVar or auth_provider, lower-case → the token that is meant. Anything else is nobody's."""

_MEANT: Final[dict[int, tuple[Algorithm, ...]]] = {
    10: ("autov2",),
    12: ("autov3",),
    32: ("md5",),
    64: ("sha256", "blake3"),
}
"""Hex length → what an unlabelled hash can be. 64 digits are SHA-256 in most catalogs, BLAKE3 in some."""

_LENGTHS: Final[dict[Algorithm, int]] = {
    "sha256": 64,
    "blake3": 64,
    "md5": 32,
    "crc32": 8,
    "autov2": 10,
    "autov3": 12,
    "tensor": 64,
}
FULL: Final[frozenset[Algorithm]] = frozenset({"sha256", "blake3"})
"""Digests that identify bytes; the others only find accidents."""

_COMPUTED: Final[tuple[Algorithm, ...]] = ("sha256", "blake3", "md5", "crc32", "tensor")
_LABELLED = re.compile(r"(?P<label>[a-z0-9-]+)[:=](?P<hex>.*)", re.DOTALL)
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """What a file hashes to, as lower-case hex: at least one of the full digests `sha256` and `blake3`.

    A download computes what its pin or its origin's promise needs; the rest is learnt later. AutoV2 is the first 10 digits
    of `sha256` (CivitAI, A1111). `tensor` is the SHA-256 of the bytes after the safetensors header (kohya's
    sshs_model_hash), AutoV3 its first 12 digits. `md5` and `crc32` are only computed to check what somebody promised.
    Raises Broken when both full digests are missing.
    """

    sha256: str | None = None
    blake3: str | None = None
    md5: str | None = None
    crc32: str | None = None
    tensor: str | None = None

    def __post_init__(self) -> None:
        if self.sha256 is None and self.blake3 is None:
            raise Broken(what="Digests without a full digest were made.")

    @property
    def complete(self) -> bool:
        """Whether nothing is left to learn: the SHA-256 is what the fleet knows a file by."""
        return self.sha256 is not None

    def named(self, algorithm: Algorithm) -> str | None:
        if algorithm == "autov2":
            return None if self.sha256 is None else self.sha256[:10]
        if algorithm == "autov3":
            return None if self.tensor is None else self.tensor[:12]
        found: str | None = getattr(self, algorithm)
        return found

    def same_bytes(self, other: Digests) -> bool:
        """Whether both are of the same bytes: a full digest that both have, and none that differs."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in _COMPUTED}
        both = {name: mine == theirs for name, (mine, theirs) in pairs.items() if mine and theirs}
        return not both.keys().isdisjoint(FULL) and all(both.values())

    def merged(self, news: Digests) -> Digests:
        """Both together; `news` was read later and wins."""
        return Digests(**{name: getattr(news, name) or getattr(self, name) for name in _COMPUTED})

    def __str__(self) -> str:
        return " ".join(f"{name}:{getattr(self, name)}" for name in _COMPUTED if getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A hash that somebody promised; `algorithms` are all that it can be, and one match is a match."""

    algorithms: tuple[Algorithm, ...]
    hex: str

    @classmethod
    def parse(cls, text: object) -> Pin | None:
        """The pin in a catalog's hash field, or None for whatever is no hash ("", "null", a wrong length, not hex)."""
        if not isinstance(text, str):
            return None
        value = text.strip().lower()
        algorithms: tuple[Algorithm, ...] | None = None
        if labelled := _LABELLED.fullmatch(value):
            label = labelled["label"].replace("-", "")
            value = labelled["hex"].strip()
            algorithms = next(
                ((name,) for name, length in _LENGTHS.items() if label == name and len(value) == length), ()
            )
        if algorithms is None:
            algorithms = _MEANT.get(len(value), ())
        if not algorithms or not _HEX.fullmatch(value):
            return None
        return cls(algorithms=algorithms, hex=value)

    def agrees(self, digests: Digests) -> bool | None:
        """True or False when the digests decide it, None when a needed one was not computed."""
        values = [digests.named(algorithm) for algorithm in self.algorithms]
        if self.hex in values:
            return True
        return None if None in values else False

    def compared(self, digests: Digests) -> str:
        """What of the digests decided, as text for a reason."""
        known = ((algorithm, digests.named(algorithm)) for algorithm in self.algorithms)
        return " ".join(f"{algorithm}:{value}" for algorithm, value in known if value)

    @property
    def strong(self) -> bool:
        """Whether a match proves the bytes (MD5 and the short forms only catch accidents)."""
        return len(self.hex) == 64 and not FULL.isdisjoint(self.algorithms)

    def contradicts(self, other: Pin) -> bool:
        """Whether no file can satisfy both: the same single algorithm with different values."""
        shared = set(self.algorithms) & set(other.algorithms)
        short = min(len(self.hex), len(other.hex))
        if {self.algorithms[0], other.algorithms[0]} == {"autov2", "sha256"}:
            return self.hex[:short] != other.hex[:short] and "blake3" not in {*self.algorithms, *other.algorithms}
        return bool(shared) and self.hex != other.hex

    def __str__(self) -> str:
        return f"{'|'.join(self.algorithms)}:{self.hex}"


_MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True, slots=True)
class MachineId:
    """The name of a machine in Redis keys: letters, digits, `_` and `-` (others split ids at `:` and `.`)."""

    text: str

    @classmethod
    def parse(cls, text: str) -> MachineId:
        """Raises BadSetting when the text has other characters or more than 128 of them."""
        if not _MACHINE.fullmatch(text):
            raise BadSetting(
                name="MACHINE_ID",
                why=f"'{text}' is not a machine id",
                fix="Use letters, digits, '-' and '_' (no ':' or '.'), at most 128.",
            )
        return cls(text)

    def __str__(self) -> str:
        return self.text
