from __future__ import annotations

from typing import Any

import pytest

from model_manager.errors import BadPath, BadRequest
from model_manager.facts import wire
from model_manager.facts.asked import asked_models, asked_shape
from model_manager.facts.identity import Pin
from model_manager.facts.model import Model, Size, Source
from model_manager.facts.shelf import ShelfPath

MODEL = Model(
    name="x.safetensors",
    path=ShelfPath(folder="loras", name="style/x.safetensors"),
    sources=(Source(url="https://a.example/x"), Source(url="https://b.example/x")),
    size=Size(bytes=7, exact=True),
    pin=Pin(algorithms=("sha256",), hex="a" * 64),
)


def test_what_is_asked_for_arrives_as_it_was_meant() -> None:
    plain = Model(name="y.pt", path=ShelfPath(folder="vae", name="y.pt"), sources=())
    assert asked_models(wire.loads(wire.dumps(asked_shape([MODEL, plain])))) == (MODEL, plain)


def test_a_size_that_is_only_a_hint_does_not_travel() -> None:
    (shape,) = asked_shape([Model(name="y", path=MODEL.path, sources=(), size=Size(bytes=5, exact=False))])["models"]
    assert shape["size"] is None


@pytest.mark.parametrize(
    "models",
    [
        None,
        [],
        ["x"],
        [{}],
        [{"path": 5, "sources": []}],
        [{"path": "vae/x.pt"}],
        [{"path": "vae/x.pt", "sources": ["file:///etc/passwd"]}],
        [{"path": "vae/x.pt", "sources": ["https://user@a.example/x"]}],
        [{"path": "vae/x.pt", "sources": [], "hash": "no hash"}],
    ],
)
def test_k4_what_cannot_be_meant_is_refused(models: Any) -> None:
    with pytest.raises(BadRequest):
        asked_models({"models": models})


@pytest.mark.parametrize("path", ["../x.pt", "vae/../../x.pt", "/etc/x.pt", "vae", "vae/x.exe", "vae/.x.pt"])
def test_k1_what_would_leave_the_shelves_is_refused(path: str) -> None:
    with pytest.raises(BadPath):
        asked_models({"models": [{"path": path, "sources": []}]})


def test_a_hash_of_which_nobody_said_what_kind_it_is_stays_undecided() -> None:
    body = {"models": [{"path": "vae/a.pt", "sources": [], "hash": "ab" * 32}]}
    (model,) = asked_models(body)
    assert model.pin is not None
    assert len(model.pin.algorithms) > 1
    assert asked_models(asked_shape([model])) == (model,)
