from __future__ import annotations

from dataclasses import dataclass

import orjson

from model_manager.serving.asking import Param
from model_manager.serving.openapi import document
from model_manager.serving.problems import CONTENT_TYPE, Problem
from model_manager.serving.routing import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    name: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Oops:
    error: str


ROUTES = (
    Route(
        method="GET", path="/things/{id}", name="thing", summary="A thing.", answer=Thing, refusals=(404,), refusal=Oops,
        params=(Param(name="id", help="Its id.", where="path", required=True, pattern="^[a-z]+$"),),
    ),
    Route(method="PUT", path="/things", name="put", summary="", answer=Thing, takes="In", good=(200, 201)),
)  # fmt: skip
DOCUMENT = orjson.loads(document("things", ROUTES, {"In": {"type": "object"}}, Problem, CONTENT_TYPE))


def test_answers_refusals_and_parameters_stand_as_the_table_says() -> None:
    get = DOCUMENT["paths"]["/things/{id}"]["get"]
    assert set(get["responses"]) == {"200", "400", "403", "404", "500"}
    oops = get["responses"]["404"]["content"][CONTENT_TYPE]["schema"]
    assert oops == {"$ref": "#/components/schemas/Oops"}
    (parameter,) = get["parameters"]
    assert parameter["schema"] == {"type": "string", "minLength": 1, "maxLength": 512, "pattern": "^[a-z]+$"}
    assert set(DOCUMENT["components"]["schemas"]) >= {"Thing", "Oops", "Problem", "In"}


def test_a_write_says_its_body_its_token_and_every_good_status() -> None:
    put = DOCUMENT["paths"]["/things"]["put"]
    assert put["security"] == [{"token": []}]
    assert put["requestBody"]["required"] is True
    assert set(put["requestBody"]["content"]) == {"application/json"}
    assert {"200", "201"} <= set(put["responses"])
