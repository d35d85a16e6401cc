"""Where could a model that is not here come from, and which of these places is beyond doubt?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from model_manager.decisions.resolving import base, spelt
from model_manager.errors import BadPath
from model_manager.facts.description import Address
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Size, Source
from model_manager.facts.resolution import Wish
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.sourcing import WEIGHTS, Find, Place, Teller, Weight
from model_manager.facts.wording import host

_ORDER: Final = {weight: number for number, weight in enumerate(WEIGHTS)}
_TELLERS: Final[tuple[Teller, ...]] = ("workflow", "manifest", "catalog", "index", "huggingface", "civitai")


def places(
    wish: Wish,
    *,
    told: str = "",
    catalog: Model | None = None,
    known: Iterable[Address] = (),
    finds: Iterable[Find] = (),
) -> tuple[Place, ...]:
    """Every place, the surest first, each address once. `told` is the workflow's own address, `known` where our index says that
    this content can be had. What contradicts the promised hash is left out."""
    found: dict[str, Place] = {}
    for place in (*_told(wish, told), *_catalogued(wish, catalog), *_known(wish, known), *_found(wish, finds)):
        if wish.pin is None or place.pin is None or not wish.pin.contradicts(place.pin):
            found.setdefault(place.url, place)
    return tuple(sorted(found.values(), key=lambda place: (_ORDER[place.weight], _TELLERS.index(place.teller))))


def chosen(offered: Sequence[Place]) -> Place | None:
    """The one to take without asking: proven or told; or the only likely one. None when somebody must choose."""
    if not offered:
        return None
    first = offered[0]
    if first.weight in ("proven", "told"):
        return first
    rivals = [place for place in offered if place.weight == first.weight]
    return first if first.weight == "likely" and len({str(place.pin) for place in rivals if place.pin}) == 1 else None


def model(wish: Wish, offered: Sequence[Place]) -> Model:
    """What is to be fetched for a wish, from the first of these places, and from the others that promise the same bytes.

    Raises BadPath when the name could leave the shelves, or no folder is known.
    """
    first = offered[0]
    pin = wish.pin or first.pin
    same = [place for place in offered if place == first or (pin and place.pin == pin) or _both_told(first, place)]
    path = _path(wish)
    size = wish.size or first.size
    return Model(
        name=path.name.rpartition("/")[2],
        path=path,
        sources=tuple(Source(url=place.url, token=place.token) for place in same),
        size=Size(bytes=size, exact=wish.size is not None or pin is not None) if size else None,
        pin=pin,
        gated=first.gated,
    )


def _path(wish: Wish) -> ShelfPath:
    if not wish.folder:
        raise BadPath(path=wish.name, why="nobody says in which folder it belongs")
    return ShelfPath.parse(f"{wish.folder}/{wish.name}", wish.name.rpartition("/")[2])


def _both_told(first: Place, place: Place) -> bool:
    return first.weight == place.weight == "told" and first.teller == place.teller


def _told(wish: Wish, url: str) -> Iterator[Place]:
    if address := Address.parse(file_of(url)):
        why = "the workflow says that it comes from here"
        yield Place(url=address.url, teller="workflow", weight="told", why=why, pin=wish.pin)


def file_of(url: str) -> str:
    """The file itself where the address is the hub's page about it."""
    return url.replace("/blob/", "/resolve/", 1) if host(url) in ("huggingface.co", "hf.co") else url


def _catalogued(wish: Wish, model: Model | None) -> Iterator[Place]:
    for source in model.sources if model else ():
        same = model is not None and wish.pin is not None and model.pin == wish.pin
        yield Place(
            url=source.url,
            teller="catalog",
            weight="proven" if same else "told",
            why="the catalog has it, with the promised hash" if same else "the catalog has it under this name",
            pin=model.pin if model else None,
            size=model.size.bytes if model and model.size and model.size.exact else None,
            token=source.token,
            gated=bool(model and model.gated),
        )


def _known(wish: Wish, addresses: Iterable[Address]) -> Iterator[Place]:
    for address in addresses:
        why = (
            "what lay here once, and had this hash, came from there"
            if wish.pin
            else "what lay here once under this name came from there"
        )
        yield Place(url=address.url, teller="index", weight="told" if wish.pin else "likely", why=why, pin=wish.pin)


def _found(wish: Wish, finds: Iterable[Find]) -> Iterator[Place]:
    for find in finds:
        if judged := _judged(wish, find):
            weight, why = judged
            yield Place(
                url=find.url,
                teller=find.teller,
                weight=weight,
                why=f"{why}, in {find.title}" if find.title else why,
                pin=find.pin,
                size=find.size,
                gated=find.gated,
            )


def _judged(wish: Wish, find: Find) -> tuple[Weight, str] | None:
    """What speaks for a file that a search found; None when nothing does."""
    if wish.pin and find.pin and _same(wish.pin, find.pin):
        return "proven", f"{find.teller} says that it has the promised hash"
    if base(find.name) != base(wish.name):
        return None
    if wish.size is not None and find.size is not None:
        return ("likely", "its name and its size agree") if wish.size == find.size else None
    exact = find.name.rpartition("/")[2] == wish.name.rpartition("/")[2]
    return "guess", "its name agrees" if exact else "its name agrees but for upper and lower case"


def _same(one: Pin, other: Pin) -> bool:
    short = min(len(one.hex), len(other.hex))
    kinds = {*one.algorithms, *other.algorithms}
    return short >= 10 and kinds <= {"sha256", "autov2", "blake3"} and one.hex[:short] == other.hex[:short]


def queries(name: str) -> tuple[str, ...]:
    """What to search for when a file is called so: its stem, then its first words, without what names a precision."""
    stem = spelt(name).rpartition("/")[2].rpartition(".")[0] or spelt(name)
    words = [word for word in stem.replace("-", " ").replace("_", " ").split() if word not in _PRECISIONS]
    return tuple(dict.fromkeys(query for query in (stem, " ".join(words), " ".join(words[:2])) if query))


_PRECISIONS: Final = frozenset(
    {"fp8", "fp16", "fp32", "bf16", "e4m3fn", "e5m2", "scaled", "pruned", "emaonly", "safetensors"}
)
