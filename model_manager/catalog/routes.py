"""Every route of the catalog in one table: the server, its checks and its OpenAPI document follow it."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, get_args

from model_manager.catalog import shapes
from model_manager.catalog.bodies import schemas
from model_manager.catalog.doctor.diagnosing import Kind
from model_manager.catalog.doctor.reports import Checkup, DoctorReport
from model_manager.catalog.incoming.findings import Report
from model_manager.catalog.shapes import Envelope
from model_manager.serving import openapi
from model_manager.serving.asking import MACHINE, Param
from model_manager.serving.routing import Route

NAME: Final = r"^[^\x00-\x1f\x7f]+$"
FILE: Final = r"^[^/\x00-\x1f\x7f]+$"
CURSOR: Final = "^[0-9a-f]{8}-[0-9]{1,15}$"
MAX_LIMIT: Final = 10_000
"""Items in one page of a list; the header X-Total-Count says how many there are."""

NDJSON: Final = "application/x-ndjson"
JSON: Final = "application/json"
PREFIXES: Final = (("/workflows", "workflow"), ("/component-definitions", "component"))
"""Workflows under both their names."""

ASKING: Final = (408, 413, 415, 429, 503)
WRITING: Final = (401, 403, 404, 408, 409, 412, 413, 415, 422, 429, 503)


def _in_path(name: str, help: str, pattern: str = NAME) -> Param:
    return Param(name=name, help=help, where="path", required=True, pattern=pattern)


def _text(name: str, help: str) -> Param:
    return Param(name=name, help=help, pattern=NAME)


ID: Final = _in_path("id", "Its id.")
BY_NAME: Final = _in_path("name", "Its name.")
MODEL: Final = _in_path("id", "Its id or its name.")
VERSION: Final = _in_path("version", "The label of a version.")
SINCE: Final = Param(name="since", help="`next` of the answer before; nothing to begin now.", pattern=CURSOR)
DRY: Final = Param(name="dry_run", help="Only say what would be done.", kind="flag", default=False)
FORCE: Final = Param(name="force", help="Delete it although others need it.", kind="flag", default=False)
PAGED: Final = (
    _text("name", "Only this name."),
    _text("search", "Part of the name or description, in any case."),
    Param(name="limit", help="Items of one page.", kind="integer", default=1000, most=MAX_LIMIT),
    Param(name="offset", help="Items before the page.", kind="integer", default=0, least=0, most=2**31),
    _text("after", "The last name of the page before: steadier than an offset, and faster."),
)
FILTERS: Final = (
    _text("model_type", "Only this folder, such as `loras`."),
    _text("base_model", "Only of this base model."),
    Param(
        name="hash", help="A hash, or its first ten digits or more.", pattern="^[0-9a-fA-F]{8,64}$", least=8, most=64
    ),
    Param(name="auth_only", help="Only models that need a token.", kind="flag", default=False),
)


def _get(path: str, name: str, summary: str, answer: Any, *params: Param, absent: bool = False) -> Route:
    refusals = (404, 429, 503) if absent else (429, 503)
    return Route(
        method="GET", path=path, name=name, summary=summary, answer=Envelope[answer], params=params, refusals=refusals
    )


def _asks(path: str, name: str, summary: str, answer: Any, takes: str, *, required: bool = True) -> Route:
    return Route(
        method="POST", path=path, name=name, summary=summary, answer=Envelope[answer], takes=takes, secured=False,
        body_required=required, refusals=ASKING,
    )  # fmt: skip


def _writes(
    method: str, path: str, name: str, summary: str, answer: Any, takes: str = "", *params: Param, good: tuple[int, ...] = (200,)
) -> Route:  # fmt: skip
    return Route(
        method=method, path=path, name=name, summary=summary, answer=Envelope[answer], takes=takes, secured=True, good=good,
        params=(*params, DRY), refusals=WRITING,
    )  # fmt: skip


def _bare(method: str, path: str, name: str, summary: str, answer: Any, **more: Any) -> Route:
    return Route(
        method=method,
        path=path,
        name=name,
        summary=summary,
        answer=answer,
        refusal=shapes.BareFailed,
        secured=False,
        **more,
    )


def _workflows(prefix: str, word: str) -> tuple[Route, ...]:
    one, many = shapes.Workflow, list[shapes.Workflow]
    return (
        _get(prefix, f"{word}s", "Workflows by name.", many, *PAGED),
        _get(f"{prefix}/name/{{name}}", f"{word}_by_name", "A workflow.", one, BY_NAME, absent=True),
        _get(f"{prefix}/{{id}}", word, "A workflow by id.", one, ID, absent=True),
        _get(f"{prefix}/{{id}}/models", f"{word}_models", "Models of a workflow.", shapes.ModelBatch, ID, absent=True),
        _asks(
            f"{prefix}/dependencies", f"{word}_dependencies", "What workflows need; an unknown one has no row.",
            list[shapes.WorkflowDependencies], "WorkflowRefs",
        ),
        _writes("POST", prefix, f"{word}_create", "A new workflow.", one, "WorkflowBody", good=(200, 201)),
        _writes("PUT", f"{prefix}/{{id}}", f"{word}_put", "Write a workflow whole.", one, "WorkflowBody", ID, good=(200, 201)),
        _writes("DELETE", f"{prefix}/{{id}}", f"{word}_delete", "Delete a workflow.", shapes.Deleted, "", ID, FORCE),
    )  # fmt: skip


MODELS: Final = (
    _get("/models", "models", "Models by name.", list[shapes.Model], *PAGED, *FILTERS),
    _get("/models/name/{name}", "model_by_name", "A model.", shapes.Model, BY_NAME, absent=True),
    _get("/models/validate-auth", "auth", "Which tokens models need, and who has them.", shapes.Authorization,
         Param(name="machine_id", help="Ask for a machine, which told its tokens before.", pattern=MACHINE, most=128), absent=True),
    _asks("/models/validate-auth", "auth_for", "The same; a machine may say which tokens it has.", shapes.Authorization,
          "Machine", required=False),
    _asks("/models/batch", "models_batch", "Many models at once.", shapes.ModelBatch, "ModelIds"),
    _get("/models/{id}", "model", "A model by id or name.", shapes.Model, MODEL, absent=True),
    _get("/models/{id}/versions", "versions", "Its versions.", list[shapes.Version], ID, absent=True),
    _get("/models/{id}/versions/{version}", "version", "One version.", shapes.Model, ID, VERSION, absent=True),
    _get("/models/{id}/dependencies", "dependencies", "What it needs, followed to its end.", shapes.Dependencies, MODEL,
         absent=True),
    _writes("POST", "/models", "model_create", "A new model.", shapes.Model, "ModelBody", good=(200, 201)),
    _writes("PUT", "/models/{id}", "model_put", "Write a model whole.", shapes.Model, "ModelBody", ID, good=(200, 201)),
    _writes("DELETE", "/models/{id}", "model_delete", "Delete a model, all its versions.", shapes.Deleted, "", ID, FORCE),
    _writes("PUT", "/models/{id}/versions/{version}", "version_put", "Write a version, which is answered only on request.",
            shapes.Model, "ModelBody", ID, VERSION, good=(200, 201)),
    _writes("DELETE", "/models/{id}/versions/{version}", "version_delete", "Delete a version.", shapes.Deleted, "", ID, VERSION),
    _writes("PUT", "/models/{id}/current", "version_choose", "Answer this version from now on.", shapes.Model, "CurrentBody", ID),
    _bare("GET", "/api/models/{id}", "api_model", "A model.", shapes.ApiModel, params=(MODEL,), refusals=(404, 429, 503)),
    _bare("POST", "/api/models/batch", "api_batch", "Many models at once.", shapes.ApiBatch, takes="ModelIds", refusals=ASKING),
)  # fmt: skip

COLLECTIONS: Final = (
    _get("/collections", "collections", "Collections by name.", list[shapes.ComponentsCollection], *PAGED),
    _get("/collections/{id}", "collection", "A collection.", shapes.ComponentsCollection, ID, absent=True),
    _get("/collections/{id}/public", "collection_public", "A collection.", shapes.PublicCollection, ID, absent=True),
    _asks("/collections/dependencies", "collection_dependencies", "What collections need.",
          list[shapes.CollectionDependencies], "CollectionIds"),
    _writes("POST", "/collections", "collection_create", "A new collection.", shapes.ComponentsCollection, "CollectionBody",
            good=(200, 201)),
    _writes("PUT", "/collections/{id}", "collection_put", "Write a collection whole.", shapes.ComponentsCollection,
            "CollectionBody", ID, good=(200, 201)),
    _writes("DELETE", "/collections/{id}", "collection_delete", "Delete a collection.", shapes.Deleted, "", ID, FORCE),
)  # fmt: skip

DOCTOR: Final = (
    _get("/doctor", "doctor", "What the doctor found, and how the newest check-up goes.", DoctorReport,
         Param(name="of", help="Whose findings: the last one that is done, or the newest.", choices=("done", "latest"), default="done"),
         Param(name="kind", help="Only findings of this kind.", choices=get_args(Kind)),
         Param(name="limit", help="Findings of one page.", kind="integer", default=1000, most=MAX_LIMIT),
         Param(name="offset", help="Findings before the page.", kind="integer", default=0, least=0, most=2**31)),
    Route(method="POST", path="/doctor", name="doctor_begin", summary="Begin a check-up; GET says how it goes.",
          answer=Envelope[Checkup], takes="Flows", body_required=False, secured=True, good=(202,),
          refusals=(401, 408, 409, 413, 415, 429, 503),
          params=(
              Param(name="visit", help="Ask every address for one byte.", kind="flag", default=True),
              Param(name="fix", help="Write what can be mended.", kind="flag", default=False),
              Param(name="per_minute", help="Requests to one host.", kind="integer", default=120, most=6000),
          )),
    Route(method="DELETE", path="/doctor", name="doctor_stop", summary="End the check-up; what it found stays.",
          answer=Envelope[Checkup], secured=True, refusals=(401, 404, 429, 503)),
)  # fmt: skip

OTHER: Final = (
    _get("/changes", "changes", "What changed after a cursor.", shapes.Changes, SINCE,
         Param(name="limit", help="Changes of one answer.", kind="integer", default=500, most=5000)),
    Route(method="GET", path="/changes/stream", name="stream", content="text/event-stream", params=(SINCE,), refusals=(429, 503),
          summary="Changes as they come. Go on with the header Last-Event-ID; `gap` says to read everything anew."),
    Route(method="GET", path="/audit", name="audit", answer=Envelope[list[shapes.Audited]], secured=True,
          summary="Who changed what, newest first.", refusals=(401, 403, 429, 503),
          params=(
              Param(name="kind", help="Only of this kind.", choices=("model", "workflow", "collection", "catalog")),
              _text("id", "Only of this record."),
              Param(name="before", help="Only before this seq.", kind="integer", default=2**31, most=2**31),
              Param(name="limit", help="Changes of one answer.", kind="integer", default=100, most=1000),
          )),
    Route(method="POST", path="/import", name="import", summary="Write many records, mended and judged, thousands at a time; or a workflow and its models.",
          answer=Envelope[Report], takes="Records", media=(JSON, NDJSON), secured=True, refusals=WRITING,
          params=(Param(name="name", help="Of a workflow as ComfyUI writes it: what it is called here.", pattern=FILE), DRY)),
    Route(method="GET", path="/export", name="export", content=NDJSON, summary="Everything, a record a line; /import takes it.",
          refusals=(429, 503)),
    _get("/health", "health", "How the catalog is.", shapes.Health),
    Route(method="GET", path="/metrics", name="metrics", summary="For Prometheus.", content="text/plain", refusals=(429, 503)),
    Route(method="GET", path="/openapi.json", name="openapi", summary="This document.", refusals=(429,)),
)  # fmt: skip

ROUTES: Final = (
    *MODELS,
    *(route for prefix in PREFIXES for route in _workflows(*prefix)),
    *COLLECTIONS,
    *DOCTOR,
    *OTHER,
)


@cache
def document() -> bytes:
    """The OpenAPI document, as JSON, made when somebody first asks for it: that takes as long as most of a start."""
    return openapi.document("model_manager catalog", ROUTES, schemas(), shapes.Failed)
