"""The OpenAPI document (3.1) of the routes. Schemas are made from the very records that are answered."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from model_manager import __version__
from model_manager.facts import wire
from model_manager.fleet import shapes
from model_manager.fleet.asking import MACHINE, MAX_NAME, Param
from model_manager.fleet.problems import CONTENT_TYPE
from model_manager.fleet.pushing import GROUP
from model_manager.fleet.routes import JSON, ROUTES, Route

_REF: Final = "#/components/schemas/{model}"
_NAMES: Final = {"type": "array", "items": {"type": "string", "maxLength": MAX_NAME}, "maxItems": 10_000}
_ASSIGNED: Final = {
    "workflows": _NAMES,
    "collections": _NAMES,
    "components": _NAMES,
    "models": _NAMES,
    "mode": {"enum": ["add", "replace"], "default": "add"},
}
_BODIES: Final[dict[str, dict[str, Any]]] = {
    "Assignment": {
        "type": "object",
        "description": "At least one name. `add` serves it besides what the machine's own configuration says.",
        "properties": _ASSIGNED,
        "additionalProperties": False,
    },
    "GroupAssignment": {
        "type": "object",
        "properties": {
            **_ASSIGNED,
            "machines": {
                "type": "array",
                "items": {"type": "string", "pattern": MACHINE},
                "minItems": 1,
                "maxItems": GROUP,
            },
        },
        "required": ["machines"],
        "additionalProperties": False,
    },
}


def document() -> bytes:
    """As JSON."""
    answers, definitions = _schemas([*(route.answer for route in ROUTES if route.answer), shapes.Problem])
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, answers)
    return wire.dumps({
        "openapi": "3.1.0",
        "info": {"title": "model_manager fleet", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**definitions, **_BODIES},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })  # fmt: skip


def _schemas(records: list[Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """A reference for each record, and what the references lead to."""
    mode: Literal["serialization"] = "serialization"
    adapters = [(record, mode, TypeAdapter(record)) for record in dict.fromkeys(records)]
    references, found = TypeAdapter.json_schemas(adapters, ref_template=_REF)
    return {record: reference for (record, _), reference in references.items()}, found.get("$defs", {})


def _operation(route: Route, answers: dict[Any, Any]) -> dict[str, Any]:
    schema = answers.get(route.answer, {"type": "object"} if route.content == JSON else {"type": "string"})
    good: dict[str, Any] = {"description": "What was asked for.", "content": {route.content: {"schema": schema}}}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [_parameter(param) for param in route.params],
        "responses": {"200": good, **_refusals(route, answers[shapes.Problem])},
    }
    if route.takes:
        body = {"schema": {"$ref": _REF.format(model=route.takes)}}
        operation["requestBody"] = {"required": True, "content": {JSON: body}}
        operation["security"] = [{"token": []}]
    return operation


def _refusals(route: Route, problem: Any) -> dict[str, Any]:
    content = {CONTENT_TYPE: {"schema": problem}}
    statuses = sorted({400, 403, 500, *route.refusals})
    return {str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def _parameter(param: Param) -> dict[str, Any]:
    return {
        "name": param.name,
        "in": param.where,
        "required": param.required,
        "description": param.help,
        "schema": _schema(param),
    }


def _schema(param: Param) -> dict[str, Any]:
    match param.kind:
        case "integer":
            return {"type": "integer", "minimum": param.least, "maximum": param.most, "default": param.default}
        case "flag":
            return {"type": "boolean"}
        case "cursor":
            return {"type": "string", "maxLength": 4 * MAX_NAME}
        case _:
            text: dict[str, Any] = {"type": "string", "minLength": param.least, "maxLength": param.most}
            text |= {"enum": list(param.choices)} if param.choices else {}
            return text | ({"pattern": param.pattern} if param.pattern else {})
