"""Models that a person asks an agent for, as they travel over its socket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from model_manager.errors import BadRequest
from model_manager.facts.description import Address
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Size, Source
from model_manager.facts.shelf import ShelfPath

MOST: Final = 10_000
"""Models of one request."""

_FIX: Final = (
    'Send {"models": [{"path": "loras/x.safetensors", "sources": ["https://…"], "hash": "sha256:…", "size": 123}]}.'
)


def asked_shape(models: Iterable[Model]) -> dict[str, Any]:
    """What `asked_models` reads."""
    return {"models": [_shape(model) for model in models]}


def _shape(model: Model) -> dict[str, Any]:
    return {
        "path": str(model.path),
        "sources": [source.url for source in model.sources],
        "hash": _hash(model.pin) if model.pin else None,
        "size": model.size.bytes if model.size and model.size.exact else None,
    }


def _hash(pin: Pin) -> str:
    """A hash that can be of several kinds travels bare: a label would decide what nobody has decided."""
    return f"{pin.algorithms[0]}:{pin.hex}" if len(pin.algorithms) == 1 else pin.hex


def asked_models(body: Mapping[str, Any]) -> tuple[Model, ...]:
    """Raises BadRequest, and BadPath for a place that could leave the shelves."""
    items = body.get("models")
    if not isinstance(items, list) or not items or len(items) > MOST:
        raise BadRequest(why=f"'models' is no list of 1 to {MOST} models", fix=_FIX)
    return tuple(map(_model, items))


def _model(item: object) -> Model:
    path = item.get("path") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(path, str):
        raise BadRequest(why="one of the models names no path", fix=_FIX)
    place = ShelfPath.parse(path, path.rpartition("/")[2])
    sources = item.get("sources")
    addresses = [Address.parse(url) for url in sources] if isinstance(sources, list) else []
    if not isinstance(sources, list) or None in addresses:
        raise BadRequest(why=f"the sources of {place} are no list of http(s) addresses", fix=_FIX)
    size, pin = item.get("size"), Pin.parse(item.get("hash"))
    if item.get("hash") is not None and pin is None:
        raise BadRequest(why=f"the hash of {place} is none", fix=_FIX)
    return Model(
        name=place.name.rpartition("/")[2],
        path=place,
        sources=tuple(Source(url=address.url) for address in addresses if address),
        size=Size(bytes=size, exact=True) if type(size) is int and 0 < size < 2**53 else None,
        pin=pin,
    )
