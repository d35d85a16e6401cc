"""The OpenAPI document (3.1) of the fleet's routes."""

from __future__ import annotations

from typing import Any, Final

from model_manager.facts.order import MOST_FILES, WHATS
from model_manager.fleet.models.fetching import MOST as MOST_FETCHED
from model_manager.fleet.models.fetching import MOST_SOURCES
from model_manager.fleet.notices.routes import BODY
from model_manager.fleet.pushing import GROUP
from model_manager.fleet.routes import ROUTES
from model_manager.fleet.stablequeue.details import FIELDS
from model_manager.fleet.stablequeue.models import EDITABLE, MOST_SYNCED
from model_manager.serving import openapi
from model_manager.serving.asking import MACHINE, MAX_NAME
from model_manager.serving.problems import CONTENT_TYPE, Problem
from model_manager.serving.receiving import LARGEST

_NAMES: Final = {"type": "array", "items": {"type": "string", "maxLength": MAX_NAME}, "maxItems": 10_000}
_ASSIGNED: Final = {
    "workflows": _NAMES,
    "collections": _NAMES,
    "components": _NAMES,
    "models": _NAMES,
    "mode": {"enum": ["add", "replace"], "default": "add"},
}
_GROUP: Final = {
    "type": "array",
    "items": {"type": "string", "pattern": MACHINE},
    "minItems": 1,
    "maxItems": GROUP,
}
_ORDERED: Final = {
    "order": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    "files": {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": MOST_FILES},
}
_JOB: Final = {
    "asks": {"type": "object", "description": "What it asks of a machine; docs/routing.md has every key."},
    "payload": {"description": "The workers' own: a text as it is, anything else as JSON."},
    "id": {"type": "string", "maxLength": 200, "pattern": "^[ -~]*$"},
    "priority": {"type": "integer", "minimum": -1000, "maximum": 1000, "default": 0},
    "customer": {"type": "string", "maxLength": 200, "pattern": "^[ -~]*$"},
    "workflow": {"type": "string", "maxLength": 512, "pattern": "^[ -~]*$"},
    "max_attempts": {"type": "integer", "minimum": 1, "maximum": 100, "default": 3},
    "policy": {"enum": ["wait", "reject", "fetch"], "default": "wait"},
    "dry_run": {"type": "boolean", "default": False, "description": "true only says what would become of it."},
}
_FETCHED: Final = {
    "models": {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_FETCHED,
        "items": {
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "`folder/name`: where it goes."},
                "sources": {"type": "array", "items": {"type": "string"}, "maxItems": MOST_SOURCES},
                "hash": {"type": ["string", "null"]},
                "size": {"type": ["integer", "null"]},
            },
            "required": ["path"],
            "additionalProperties": False,
        },
    }
}
_BODIES: Final[dict[str, dict[str, Any]]] = {
    "Job": {
        "type": "object",
        "description": "An `id` of yours makes that asking again is no second job.",
        "properties": _JOB,
        "additionalProperties": False,
    },
    "Rule": BODY,
    "UpdateCheckWanted": {
        "type": "object",
        "description": "`again`: ask also about models of which CivitAI told lately.",
        "properties": {"again": {"type": "boolean", "default": False}},
        "additionalProperties": False,
    },
    "Fetch": {
        "type": "object",
        "description": "Without `sources` a model comes from where the fleet knows that it can be had.",
        "properties": _FETCHED,
        "required": ["models"],
        "additionalProperties": False,
    },
    "GroupFetch": {
        "type": "object",
        "description": "To the `machines` that are named, or to `all` that are not away.",
        "properties": {**_FETCHED, "machines": _GROUP, "all": {"type": "boolean"}},
        "required": ["models"],
        "additionalProperties": False,
    },
    "StableQueueScan": {
        "type": "object",
        "description": "The `machines` that are named, or without them everyone who is not away.",
        "properties": {"machines": _GROUP},
        "additionalProperties": False,
    },
    "StableQueueRescan": {
        "type": "object",
        "properties": {name: {"type": "boolean"} for name in ("generateHash", "retrieveFromCivitai", "getPreview")},
        "additionalProperties": False,
    },
    "StableQueueFieldTold": {
        "type": "object",
        "description": "A model by its row's `local_path` and `filename`; a `value` of null takes the field back.",
        "properties": {
            "local_path": {"type": "string"},
            "filename": {"type": "string", "minLength": 1},
            "field": {"enum": list(FIELDS)},
            "value": {"type": ["string", "number", "boolean", "array", "null"]},
        },
        "required": ["filename", "field"],
        "additionalProperties": False,
    },
    "StableQueueDelete": {
        "type": "object",
        "description": "Without `confirm` it is only said. `force` removes what an assignment requires, too.",
        "properties": {
            "local_path": {"type": "string"},
            "filename": {"type": "string", "minLength": 1},
            "machines": _GROUP,
            "confirm": {"type": "boolean", "default": False},
            "force": {"type": "boolean", "default": False},
        },
        "required": ["filename"],
        "additionalProperties": False,
    },
    "StableQueueRestore": {
        "type": "object",
        "description": "The `order` of the removal, and its `machines` where another aggregator asked for it.",
        "properties": {"order": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}, "machines": _GROUP},
        "required": ["order"],
        "additionalProperties": False,
    },
    "StableQueueFile": {"type": "string", "format": "binary"},
    "StableQueueSync": {
        "type": "object",
        "description": "`full`: this is all that it holds; `changes`: this came, and `removed` went.",
        "properties": {
            "mode": {"enum": ["full", "changes"], "default": "full"},
            "models": {"type": "array", "maxItems": MOST_SYNCED, "items": {"type": ["object", "string"]}},
            "removed": {"type": "array", "maxItems": MOST_SYNCED, "items": {"type": ["object", "string"]}},
        },
        "additionalProperties": False,
    },
    "StableQueueFields": {
        "type": "object",
        "minProperties": 1,
        "properties": {name: {"type": ["string", "number", "array", "null"]} for name in EDITABLE},
        "additionalProperties": False,
    },
    "StableQueueJob": {
        "type": "object",
        "description": "As StableQueue takes it. What is not known of it goes to the worker with the rest.",
        "properties": {
            "generation_params": {"type": "object"},
            "generation_info_raw": {"type": "string"},
            "app_type": {"type": "string", "minLength": 1, "pattern": "^[a-z0-9_-]{1,64}$"},
            "priority": {"type": "integer", "minimum": -1000, "maximum": 1000},
            "policy": {"enum": ["wait", "reject", "fetch"], "default": "wait"},
            "mobilesd_job_id": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
            "dry_run": {"type": "boolean"},
        },
    },
    "StableQueueVerify": {
        "type": "object",
        "properties": {"hash": {"type": "string"}, "civitai_version_id": {"type": ["string", "integer"]}},
    },
    "DroppedFile": {"type": "string", "format": "binary", "maxLength": LARGEST},
    "Assignment": {
        "type": "object",
        "description": "At least one name. `add` serves it besides what the machine's own configuration says.",
        "properties": _ASSIGNED,
        "additionalProperties": False,
    },
    "GroupAssignment": {
        "type": "object",
        "description": "To the `machines` that are named, or to `all` that are not away.",
        "properties": {
            **_ASSIGNED,
            "machines": _GROUP,
            "all": {"type": "boolean"},
        },
        "additionalProperties": False,
    },
    "Order": {
        "type": "object",
        "description": "`order`: an id of yours, so that asking again is no second order. `files` only to verify.",
        "properties": _ORDERED,
        "additionalProperties": False,
    },
    "GroupOrder": {
        "type": "object",
        "description": "To the `machines` that are named, or to `all` that are not away.",
        "properties": {**_ORDERED, "what": {"enum": list(WHATS)}, "machines": _GROUP, "all": {"type": "boolean"}},
        "required": ["what"],
        "additionalProperties": False,
    },
}


def document() -> bytes:
    """As JSON."""
    return openapi.document("model_manager fleet", ROUTES, _BODIES, Problem, CONTENT_TYPE)
