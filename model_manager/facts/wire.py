"""Records ⇄ bytes: the only codec. JSON on every wire; bodies above 4 kB are compressed.

`data` of a stream entry starts with `{` for JSON or with the byte 0x78 for the same JSON under zlib (RFC 1950).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import fields as fields_of
from functools import cache
from typing import Annotated, Any, Final

import orjson

from model_manager.errors import BadRecord
from model_manager.facts.disk import Held
from model_manager.facts.event import Entry, Envelope, Event, Gone, Known, ReadinessChanged, Unknown

COMPRESS_ABOVE: Final = 4096
"""Bytes of JSON. A diff of 1,000 models is 197 kB plain and 39 kB compressed."""

MAX_DATA: Final = 64 * 1024 * 1024
"""Bytes that a compressed body may expand to."""

MAX_VALUES: Final = 500_000
"""Values in JSON from outside: ten thousand models with thirty fields are 300,000."""


NAMES: Final = [b"machine_id", b"instance", b"epoch", b"seq", b"kind", b"at", b"digest", b"data"]
"""The fields of a stream entry as our functions write them."""


@cache
def _known() -> tuple[Callable[[Any], Known], type[ValueError]]:
    """What reads events, and what it raises."""
    from pydantic import Field, TypeAdapter, ValidationError  # only who reads events pays for it

    known: TypeAdapter[Known] = TypeAdapter(Annotated[Known, Field(discriminator="kind")])
    return known.validator.validate_python, ValidationError


@cache
def _kinds() -> frozenset[str]:
    return frozenset(member.__dataclass_fields__["kind"].default for member in Known.__args__)


def dumps(value: Any) -> bytes:
    """JSON of records, dicts, lists and scalars; keys keep their order."""
    return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_NON_STR_KEYS, default=_plain)


def raw(data: bytes | str) -> Any:
    """JSON that stands as it is within what `dumps` writes."""
    return orjson.Fragment(data)


def loads(data: bytes | str, what: str = "JSON") -> Any:
    """Strict JSON. Raises BadRecord(what) on anything else, NaN and endless nesting included."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRecord(name=what, why=f"it is not JSON ({error})") from None


def loads_unique(data: bytes, what: str) -> Any:
    """As `loads`, for text that nobody we trust wrote: an object that names a key twice is refused, for two readers would
    read two values, and so is what holds more than about MAX_VALUES values, for each takes up to 100 times its length."""
    if sum(map(data.count, b"[{,")) > MAX_VALUES:
        raise BadRecord(name=what, why=f"it holds more than {MAX_VALUES} values")
    read = loads(data, what)
    if isinstance(read, dict) and data.count(b"{") == 1 and data.count(b":") == len(read):
        return read  # each key has a colon: none of them was there twice
    try:
        return json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise BadRecord(name=what, why=f"it is not JSON ({error})") from None


def loads_lenient(data: bytes, what: str) -> Any:
    """JSON as people and other programs leave it lying about: NaN (ComfyUI writes it), lone surrogates and a byte order mark
    are read, a key named twice has its last value. Raises BadRecord(what) on anything else, on endless nesting, and on
    what holds more than about MAX_VALUES values."""
    if sum(map(data.count, (b"[", b"{", b","))) > MAX_VALUES:
        raise BadRecord(name=what, why=f"it holds more than {MAX_VALUES} values")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _loads_slowly(data, what)


def _loads_slowly(data: bytes, what: str) -> Any:
    try:
        return json.loads(data, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise BadRecord(name=what, why=f"it is not JSON ({error})") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object names a key twice")
    return members


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, str):
        return str(value)
    raise TypeError(type(value).__name__)


def pack(event: Event) -> bytes:
    """The `data` field of an event."""
    body = dumps(event.data if isinstance(event, Unknown) else _body(event))
    return zlib.compress(body, 1) if len(body) > COMPRESS_ABOVE else body


def _body(event: Known) -> dict[str, Any]:
    return {field.name: getattr(event, field.name) for field in fields_of(event) if field.name != "kind"}


def unpack(kind: str, data: bytes) -> Event:
    """The event of a `kind` and its `data`. A kind or a shape that we do not know becomes Unknown.

    Raises BadRecord when the data is not JSON at all.
    """
    return _event(kind, _object(kind, data))


def _object(kind: str, data: bytes) -> dict[str, Any]:
    if data[:1] == b"\x78":
        data = _inflate(kind, data)
    body = loads(data, kind)
    if not isinstance(body, dict):
        raise BadRecord(name=kind, why="its data is not an object")
    return body


def _event(kind: str, body: dict[str, Any]) -> Event:
    if kind == "readiness.changed" and (told := _readiness(body)) is not None:
        return told
    if kind in _kinds():
        read, refusal = _known()
        try:
            return read({**body, "kind": kind})
        except refusal:
            return Unknown(kind=kind, data=body)
    return Unknown(kind=kind, data=body)


def _readiness(body: dict[str, Any]) -> ReadinessChanged | None:
    """What every machine tells again and again, when each field is just what it is meant to be. Of whatever else the checks of
    records decide, which take ten times as long."""
    ready, reasons, workflows = body.get("ready"), body.get("reasons"), body.get("workflows")
    if type(ready) is not bool or type(reasons) is not list or type(workflows) is not dict:
        return None
    if not (set(map(type, reasons)) <= {str} and set(map(type, workflows.values())) <= {bool}):
        return None
    return ReadinessChanged(ready=ready, reasons=tuple(reasons), workflows=workflows)


def _inflate(kind: str, data: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(data, MAX_DATA)
    except zlib.error as error:
        raise BadRecord(name=kind, why=f"its data is not zlib ({error})") from None
    if stream.unconsumed_tail:
        raise BadRecord(name=kind, why=f"its data expands beyond {MAX_DATA} bytes")
    return body


def fields(envelope: Envelope) -> dict[str, str | bytes]:
    """An envelope as the fields of a stream entry."""
    return {
        "machine_id": envelope.machine_id,
        "instance": envelope.instance,
        "epoch": str(envelope.epoch),
        "seq": str(envelope.seq),
        "kind": envelope.event.kind,
        "at": envelope.at,
        "digest": envelope.digest,
        "data": pack(envelope.event),
    }


def envelope(entry: dict[bytes, bytes]) -> Envelope:
    """The envelope of a stream entry. Raises BadRecord when a field is missing or no number."""
    try:
        return Envelope(
            machine_id=entry[b"machine_id"].decode(),
            instance=entry[b"instance"].decode(),
            epoch=int(entry[b"epoch"]),
            seq=int(entry[b"seq"]),
            at=entry[b"at"].decode(),
            digest=entry[b"digest"].decode(),
            event=unpack(entry[b"kind"].decode(), entry[b"data"]),
        )
    except (KeyError, ValueError) as error:
        raise BadRecord(name="stream entry", why=f"{type(error).__name__}: {error}") from None


class Sealed(Envelope):
    """An envelope as it came: its place is read, and `body` is the JSON of its event, which becomes a record when somebody
    asks for it. Who folds a thousand machines asks for few."""

    __slots__ = ("_event", "body", "kind")
    __setattr__, __delattr__ = object.__setattr__, object.__delattr__
    """Nobody changes one; but the freeze would take longer than all else here, and a reader makes tens of thousands a second."""

    machine_id: str
    instance: str
    epoch: int
    seq: int
    kind: str
    at: str
    digest: str
    body: dict[str, Any]
    _event: Event | None

    def __init__(self, told: Sequence[bytes]) -> None:
        """Of the names and values of a stream entry, one after the other. Raises BadRecord as `envelope` does."""
        try:
            machine, instance, epoch, seq, kind, at, digest, data = told[1::2] if told[::2] == NAMES else _sorted(told)
            self.machine_id = machine.decode()
            self.instance = instance.decode()
            self.epoch = int(epoch)
            self.seq = int(seq)
            self.kind = kind.decode()
            self.at = at.decode()
            self.digest = digest.decode()
            self._event = None
            self.body = orjson.loads(data) if data[:1] == b"{" else _object(self.kind, data)
        except (KeyError, ValueError) as error:
            raise BadRecord(name="stream entry", why=f"{type(error).__name__}: {error}") from None

    @property
    def event(self) -> Event:
        if self._event is None:
            self._event = _event(self.kind, self.body)
        return self._event

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Envelope) and _parts(self) == _parts(other)

    def __hash__(self) -> int:
        return hash((self.machine_id, self.epoch, self.seq))


def _sorted(told: Sequence[bytes]) -> Sequence[bytes]:
    """The values in the order of NAMES, which nearly all entries have already. Raises KeyError."""
    named = dict(zip(told[::2], told[1::2], strict=False))
    return [named[name] for name in NAMES]


def _parts(envelope: Envelope) -> tuple[Any, ...]:
    return tuple(getattr(envelope, field.name) for field in fields_of(Envelope))


def entry(held: Held) -> Entry:
    """What the fleet is told of a held file."""
    return Entry(
        folder=held.shelf.folder,
        name=held.shelf.name,
        path=held.file,
        size=held.fingerprint.size,
        size_gb=round(held.fingerprint.size / 1e9, 3),
        hash=(held.digests and held.digests.sha256) or "",
        verified=held.verified,
        evidence=held.evidence or "",
        last_verified=held.verified_at,
        mtime_ns=held.fingerprint.mtime_ns,
    )


def gone(held: Held) -> Gone:
    """What the fleet is told of a file that left."""
    return Gone(folder=held.shelf.folder, name=held.shelf.name, path=held.file)
