"""What lies beside a model: JSON files of other programs and a preview."""

from __future__ import annotations

import os

from model_manager.errors import BadForeign, DiskUnavailable
from model_manager.facts.companions import Belongings
from model_manager.facts.description import Address, Claim, Field, Lore, Oddity, Teller, Told
from model_manager.neighbours import documents
from model_manager.neighbours.records import Heard, Model, heard


def names(directory: str) -> tuple[str, ...]:
    """The names in a directory: one listing serves all its models. Raises DiskUnavailable."""
    return documents.listing(directory)


def read(file: str, size: int, beside: Belongings, at: str) -> tuple[Lore, tuple[Oddity, ...]]:
    """What the JSON files beside a model say of it; `file` is its absolute path, `size` its bytes now.

    Of two files that speak with the same voice the earlier one in `beside` is believed. A file that cannot be read, or says
    what cannot be, is an oddity; one that speaks of no model (a tokenizer, a config, an index of shards) is nothing.
    """
    directory, name = os.path.split(file)
    model = Model(name=name, size=size, at=at)
    found: list[Heard] = []
    odd: list[Oddity] = []
    for other in beside.json:
        path = os.path.join(directory, other)
        try:
            document = documents.document(path)
        except (BadForeign, DiskUnavailable) as error:
            odd.append(Oddity(where=path, why=str(error.facts["why"])))
            continue
        if document is not None and (said := heard(document, model)):
            found.append(said)
            odd += [Oddity(where=path, why=why) for why in said.odd]
    preview = os.path.join(directory, beside.preview) if beside.preview else ""
    return _lore(file, size, found, preview), tuple(odd)


def _lore(file: str, size: int, found: list[Heard], preview: str) -> Lore:
    told: dict[tuple[Field, Teller], Told] = {}
    claims: dict[Claim, None] = {}
    addresses: dict[str, Address] = {}
    for heard_ in found:
        for word in heard_.said.told:
            told.setdefault((word.field, word.teller), word)
        claims |= dict.fromkeys(heard_.said.claims)
        for address in heard_.said.addresses:
            addresses.setdefault(address.url, address)
    return Lore(
        file=file,
        size=size,
        claims=tuple(claims),
        told=tuple(told.values()),
        addresses=tuple(addresses.values()),
        preview=preview,
    )
