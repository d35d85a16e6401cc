"""What is wrong with a model's record, and the record as it should be: from what its addresses said and workflows expect."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from model_manager.catalog.doctor.visiting import Visit
from model_manager.catalog.incoming import spelling
from model_manager.catalog.records import CatalogModel
from model_manager.errors import BadPath, BadRecord, printable
from model_manager.facts.identity import Pin
from model_manager.facts.model import Size
from model_manager.facts.record import model_record
from model_manager.facts.shelf import CATEGORY_OF, ShelfPath

TOLERANCE: Final = 0.05
"""How far a size such as "17.2GB" may be off: what is rounded, and decimal units taken for binary ones, is no fault."""

Kind = Literal[
    "page", "other file", "same address", "case", "folder", "size", "hash", "token", "no token", "closed", "expired", "gone", "strange",
    "forbidden", "away",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailment:
    """`fix` says what would be written; empty where a person must decide. `url` is the address that it is about, `token` the
    variable whose value is absent or refused, if it is about one."""

    kind: Kind
    name: str
    what: str
    fix: str = ""
    url: str | None = None
    token: str | None = None


Found = tuple[list[Ailment], CatalogModel]
"""What is wrong, and the record with what can be mended mended."""


def addressed(record: CatalogModel) -> Found:
    """Addresses that are pages, or name another file: known without a visit."""
    told: list[Ailment] = []
    clean: list[str] = []
    for url in record.sources:
        mended, found = spelling.address(url, record.name)
        if mended != url:
            what = next(each.what for each in found if each.done == "fixed")
            told.append(_ailment("page", record, what, f"the address {printable(mended, 300)}", url=url))
        told += [_ailment("other file", record, each.what, url=url) for each in found if each.done == "kept"]
        clean.append(mended)
    sources = tuple(dict.fromkeys(clean))
    return told, record if sources == record.sources else replace(record, sources=sources)


def shelved(record: CatalogModel, expected: Mapping[str, Collection[str]]) -> Found:
    """`expected`: names that workflows load → the folders from which they do."""
    if not expected:
        return [], record
    try:
        path = ShelfPath.parse(record.save_to, record.name)
    except BadPath:
        return [], record
    folders = sorted(expected.get(path.name) or expected.get(record.name) or ())
    if not folders or path.category in {CATEGORY_OF.get(each, each) for each in folders}:
        return [], record
    what = f"it goes to '{path.folder}', but workflows load it from {' and '.join(map(repr, folders))}"
    if len(folders) > 1:
        return [_ailment("folder", record, what)], record
    place = f"{folders[0]}/{path.name}"
    return [_ailment("folder", record, what, f"the place {place}")], replace(record, save_to=place)


def visited(record: CatalogModel, visits: Sequence[Visit], tokens: Collection[str]) -> Found:
    """`tokens`: names of those that are set here."""
    told, record = _reached(record, visits)
    good = [each for each in visits if each.outcome == "there" and not spelling.differs(each.url, record.name)]
    for judge in (_hashed, _sized):
        more, record = judge(record, good)
        told += more
    more, record = _gated(record, visits, tokens)
    return [*told, *more], record


def _reached(record: CatalogModel, visits: Sequence[Visit]) -> Found:
    """Addresses that do not answer. A dead one goes when another one lives."""
    told: list[Ailment] = []
    alive = any(each.outcome == "there" for each in visits)
    dead = {each.url for each in visits if each.outcome == "gone"} if alive else set()
    for each in visits:
        if each.outcome == "there" or (each.outcome == "closed" and each.gated):
            continue
        fix = "without this address" if each.url in dead else ""
        told.append(_ailment(each.outcome, record, f"{printable(each.url, 300)}: {each.why}", fix, url=each.url))
    return told, replace(record, sources=tuple(url for url in record.sources if url not in dead))


def _hashed(record: CatalogModel, good: Sequence[Visit]) -> Found:
    promised = {each.sha256 for each in good if each.sha256}
    if not promised:
        return [], record
    if len(promised) > 1:
        return [_ailment("hash", record, "its addresses lead to different files; keep those of one")], record
    (sha256,) = promised
    known = [pin for pin in (Pin.parse(record.hash), *(Pin.parse(f"{k}:{v}") for k, v in record.hashes)) if pin]
    against = [pin for pin in known if _contradicts(pin, sha256)]
    if against:
        what = f"its hash is {against[0].hex}, but its origin says SHA-256 {sha256}: find out which is right"
        return [_ailment("hash", record, what)], record
    if record.hash is not None or any(name == "sha256" for name, _ in record.hashes):
        return [], record
    mended = replace(
        record, hash=f"sha256:{sha256}", hashes=tuple(sorted({**dict(record.hashes), "sha256": sha256}.items()))
    )
    return [_ailment("hash", record, "it has no SHA-256", f"the hash sha256:{sha256}")], mended


def _contradicts(pin: Pin, sha256: str) -> bool:
    """Whether it can only be another file; of 64 digits without a label nobody knows if they are a BLAKE3."""
    if pin.algorithms == ("sha256",):
        return pin.hex != sha256
    return pin.algorithms == ("autov2",) and not sha256.startswith(pin.hex)


def _sized(record: CatalogModel, good: Sequence[Visit]) -> Found:
    sizes = {each.size for each in good if each.size}
    if len(sizes) != 1:
        why = f"its addresses lead to files of {' and '.join(map(str, sorted(sizes)))} bytes; keep those of one"
        return ([_ailment("size", record, why)] if sizes else []), record
    (size,) = sizes
    said = _size_of(record)
    if said and (said.bytes == size if said.exact else abs(said.bytes - size) <= TOLERANCE * size):
        return [], record
    what = f"its size is {printable(record.size, 40)}, but {size} bytes are offered" if said else "it has no size"
    return [_ailment("size", record, what, f"the size {size}")], replace(record, size=size)


def _size_of(record: CatalogModel) -> Size | None:
    try:
        fields = {"name": "x.pt", "downloadUrl": "https://x.example/x", "saveTo": "vae", "fileSize": record.size}
        return model_record(fields, record.name).size
    except BadRecord:
        return None


def _gated(record: CatalogModel, visits: Sequence[Visit], tokens: Collection[str]) -> Found:
    """Whether a token is needed, against what the record says. An address that nobody could ask says nothing of it."""
    answered = [each for each in visits if each.outcome in ("there", "closed")]
    if not answered:
        return [], record
    if not any(each.gated for each in answered):
        if not record.auth_required or len(answered) < len(visits):
            return [], record
        mended = replace(record, auth_required=False, auth_env_var=None)
        return [
            _ailment("no token", record, "it says that it needs a token, and needs none", "isAuthReq false")
        ], mended
    told = [_closed(record, each, tokens) for each in answered if each.outcome == "closed"]
    name = record.auth_env_var or _token_of(answered)
    if name and name not in tokens and not told:
        told.append(_ailment("token", record, f"it needs {name}, which is not set here", token=name))
    if record.auth_required and record.auth_env_var == name:
        return told, record
    fix = f"isAuthReq true, authEnvVar {name}" if name else "isAuthReq true"
    told.append(_ailment("token", record, "it needs a token, and does not say so", fix))
    return told, replace(record, auth_required=True, auth_env_var=name)


def _closed(record: CatalogModel, visit: Visit, tokens: Collection[str]) -> Ailment:
    """A token that is set and still refused is told apart from one that is not, and from a licence that nobody accepted."""
    at = printable(visit.url, 300)
    if visit.token in tokens and visit.refused:
        what = f"{at}: {visit.token} is set here and was refused: it ended, or is wrong. Set a new one and restart"
        return _ailment("expired", record, what, url=visit.url, token=visit.token)
    absent = visit.token if visit.token and visit.token not in tokens else None
    return _ailment("closed", record, f"{at}: {visit.why}", url=visit.url, token=absent)


def _token_of(visits: Sequence[Visit]) -> str | None:
    hosts = {"huggingface.co": "HF_TOKEN", "civitai.com": "CIVITAI_TOKEN"}
    return next(
        (name for host, name in hosts.items() for each in visits if each.gated and f"//{host}/" in each.url), None
    )


def _ailment(
    kind: Kind, record: CatalogModel, what: str, fix: str = "", *, url: str | None = None, token: str | None = None
) -> Ailment:
    return Ailment(kind=kind, name=printable(record.name, 200), what=what, fix=fix, url=url, token=token)
