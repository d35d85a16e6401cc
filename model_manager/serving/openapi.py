"""The OpenAPI document (3.1) of a table of routes. Schemas are made from the very records that are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from model_manager import __version__
from model_manager.facts import wire
from model_manager.serving.asking import MAX_NAME, Param
from model_manager.serving.routing import JSON, Route

REFERENCE: Final = "#/components/schemas/{model}"


def document(
    title: str,
    routes: Sequence[Route],
    bodies: Mapping[str, Mapping[str, Any]],
    refusal: Any,
    content_type: str = JSON,
) -> bytes:
    """As JSON. `bodies`: the schemas that routes take, by name. `refusal`: the record of refusals, sent as `content_type`."""
    given = [route.answer for route in routes if route.answer is not None]
    answers, definitions = _schemas([*given, refusal, *(route.refusal for route in routes if route.refusal)])
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        shape = answers[route.refusal or refusal]
        operation = _operation(route, answers, {content_type: {"schema": shape}})
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return wire.dumps({
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**definitions, **bodies},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })  # fmt: skip


def _schemas(records: list[Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """A reference for each record, and what the references lead to."""
    mode: Literal["serialization"] = "serialization"
    adapters = [(record, mode, TypeAdapter(record)) for record in dict.fromkeys(records)]
    references, found = TypeAdapter.json_schemas(adapters, ref_template=REFERENCE)
    return {record: reference for (record, _), reference in references.items()}, found.get("$defs", {})


def _operation(route: Route, answers: dict[Any, Any], refusal: dict[str, Any]) -> dict[str, Any]:
    plain = {"type": "object"} if route.content == JSON else {"type": "string"}
    schema = plain if route.answer is None else answers[route.answer]
    content = {"description": "What was asked for.", "content": {route.content: {"schema": schema}}}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [_parameter(param) for param in route.params],
        "responses": {**{str(status): content for status in route.good}, **_refusals(route, refusal)},
    }
    if route.takes:
        body = {"schema": {"$ref": REFERENCE.format(model=route.takes)}}
        content_of = dict.fromkeys(route.media, body)
        operation["requestBody"] = {"required": route.body_required, "content": content_of}
    if route.needs_token:
        operation["security"] = [{"token": []}]
    return operation


def _refusals(route: Route, content: dict[str, Any]) -> dict[str, Any]:
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
