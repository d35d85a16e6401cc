"""What may be written, field by field: the server's checks and its OpenAPI document are both made from here."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from model_manager.catalog.incoming.intake import usable
from model_manager.catalog.records import CatalogCollection, CatalogModel, CatalogWorkflow, CustomNode, Need
from model_manager.errors import BadRecord, printable
from model_manager.facts.identity import Pin
from model_manager.facts.record import MAX_SOURCES
from model_manager.facts.shelf import ShelfPath
from model_manager.serving.openapi import REFERENCE
from model_manager.serving.problems import Answer

MAX_NAMES: Final = 10_000
"""Names in one list."""

T = TypeVar("T", bound=BaseModel)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it has control characters")
    return text


Name = Annotated[
    str, Field(min_length=1, max_length=512, pattern=r"^\S([^\x00-\x1f\x7f]*\S)?$"), AfterValidator(_printable)
]
Word = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"), AfterValidator(_printable)]
Text = Annotated[str, Field(max_length=20_000, pattern=r"^[^\x00]*$")]
Url = Annotated[str, Field(min_length=8, max_length=4096, pattern=r"^https?://[^\s\\]+$")]
Gigabytes = Annotated[float, Field(gt=0, le=100_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class ModelBody(_Body):
    """A model. `downloadUrl` is tried before `sources`. A `version` that is new becomes the one that is answered."""

    id: Name | None = None
    name: Name
    version: Annotated[Word, Field(min_length=1)] | None = None
    downloadUrl: Url | None = None
    sources: list[Url] = Field([], max_length=MAX_SOURCES)
    saveTo: Annotated[str, Field(max_length=1024)] | None = None
    fileSize: Annotated[int, Field(ge=0, le=2**53)] | Annotated[str, Field(max_length=40)] | None = None
    hash: Annotated[str, Field(max_length=100)] | None = None
    hashes: dict[Literal["sha256", "blake3", "md5", "crc32", "autov2", "autov3", "tensor"], str] = Field(
        {}, max_length=7
    )
    isAuthReq: bool = False
    authEnvVar: Literal["HF_TOKEN", "CIVITAI_TOKEN", "CIVITAI_API_KEY"] | None = None
    modelType: Word = ""
    baseModel: Word = ""
    licence: Word = ""
    vramGb: Gigabytes | None = None
    description: Text = ""
    dependencies: list[Name] = Field([], max_length=MAX_NAMES)

    def record(self, identity: str, version: str) -> CatalogModel:
        """As `identity`, as `version` when it names none. Raises BadRecord for what no machine could use."""
        urls = [*([self.downloadUrl] if self.downloadUrl else []), *self.sources]
        record = CatalogModel(
            id=identity,
            name=self.name,
            version=self.version or version,
            sources=tuple(dict.fromkeys(urls)),
            save_to=self.saveTo,
            size=self.fileSize,
            hash=self.hash,
            hashes=tuple(sorted((name, digits.strip().lower()) for name, digits in self.hashes.items())),
            auth_required=self.isAuthReq,
            auth_env_var=self.authEnvVar,
            model_type=self.modelType,
            base_model=self.baseModel,
            licence=self.licence,
            vram_gb=self.vramGb,
            description=self.description,
            dependencies=tuple(dict.fromkeys(self.dependencies)),
        )
        return _checked(record)


class NeedBody(_Body):
    """A model by name or id."""

    model: Name
    is_required: bool = True


class RelationBody(_Body):
    """As GET answers it; only the model's name and `is_required` are read."""

    workflow_id: str | None = None
    model_id: str | None = None
    model_name: Name
    is_required: bool = True


class NodeBody(_Body):
    name: Name
    repositoryUrl: Annotated[str, Field(max_length=4096, pattern=r"^(https?://[^\s\\]+)?$")] = ""
    branch: Word = ""
    commit: Word = ""
    install_order: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None


class WorkflowBody(_Body):
    """A workflow. `workflow_model` and `workflow_custom_node`, where given, say of `models` and `custom_nodes` what those cannot."""

    id: Name | None = None
    name: Name
    description: Text = ""
    models: list[Name | NeedBody] = Field([], max_length=MAX_NAMES)
    workflow_model: list[RelationBody] = Field([], max_length=MAX_NAMES)
    custom_nodes: list[Name | NodeBody] = Field([], max_length=1000)
    workflow_custom_node: list[NodeBody] = Field([], max_length=1000)
    minVramGb: Gigabytes | None = None
    machineType: Word = ""

    def record(self, identity: str) -> CatalogWorkflow:
        needs = {each.model_name: each.is_required for each in self.workflow_model}
        for each in self.models:
            name, required = (each, True) if isinstance(each, str) else (each.model, each.is_required)
            needs.setdefault(name, required)
        nodes: dict[str, CustomNode] = {}
        for at, node in enumerate([*self.workflow_custom_node, *self.custom_nodes]):
            made = _node(node, at)
            nodes.setdefault(made.name, made)
        return CatalogWorkflow(
            id=identity,
            name=self.name,
            description=self.description,
            needs=tuple(Need(model=name, required=required) for name, required in needs.items()),
            custom_nodes=tuple(sorted(nodes.values(), key=lambda node: node.install_order)),
            min_vram_gb=self.minVramGb,
            machine_type=self.machineType,
        )


class MemberBody(_Body):
    id: str | None = None
    name: Name


class CollectionBody(_Body):
    """A collection of workflows, by name or id. `components` and `collection_node` are as GET answers them."""

    id: Name | None = None
    name: Name | None = None
    description: Text = ""
    workflows: list[Name] = Field([], max_length=MAX_NAMES)
    components: list[Name | MemberBody] = Field([], max_length=MAX_NAMES)
    collection_node: list[Name | MemberBody] = Field([], max_length=MAX_NAMES)

    def record(self, identity: str) -> CatalogCollection:
        listed = [*self.workflows, *self.components, *self.collection_node]
        names = (each if isinstance(each, str) else each.name for each in listed)
        return CatalogCollection(
            id=identity,
            name=self.name or identity,
            description=self.description,
            workflows=tuple(dict.fromkeys(names)),
        )


class CurrentBody(_Body):
    """Which version is answered from now on."""

    version: Annotated[Word, Field(min_length=1)]


WRITTEN: Final = (ModelBody, WorkflowBody, CollectionBody, CurrentBody)

_NAMES: Final = {"type": "array", "items": {"type": "string"}, "maxItems": MAX_NAMES}
_MAYBE: Final = {**_NAMES, "type": ["array", "null"]}
ASKED: Final[dict[str, dict[str, Any]]] = {
    "ModelIds": {
        "type": "object",
        "description": "Ids or names. With `dependencies` what they need comes along, followed to its end.",
        "properties": {"model_ids": _NAMES, "dependencies": {"type": "boolean"}},
        "required": ["model_ids"],
    },
    "WorkflowRefs": {
        "type": "object",
        "properties": {"workflow_names": _MAYBE, "workflow_ids": _MAYBE},
        "anyOf": [{"required": ["workflow_names"]}, {"required": ["workflow_ids"]}],
    },
    "CollectionIds": {"type": "object", "properties": {"collection_ids": _NAMES}, "required": ["collection_ids"]},
    "Machine": {
        "type": "object",
        "description": "A machine and the names of the tokens that it has; never the tokens.",
        "properties": {
            "machine_id": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"},
            "tokens": {"type": "array", "items": {"type": "string", "maxLength": 100}, "maxItems": 20},
        },
        "required": ["machine_id", "tokens"],
        "additionalProperties": False,
    },
    "Flows": {
        "type": "object",
        "description": "Workflows as ComfyUI writes them: are models in the folders from which they load?",
        "properties": {"workflows": {"type": "array", "items": {"type": "object"}}},
        "additionalProperties": False,
    },
    "Records": {
        "type": "object",
        "description": "Lists of models, workflows and collections; or a workflow as ComfyUI writes it; or NDJSON, a record a line.",
    },
}
"""What questions take, by the name of the schema."""


def schemas() -> dict[str, Any]:
    """The schema of every body, by name."""
    made: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for each in WRITTEN:
        schema = TypeAdapter(each).json_schema(ref_template=REFERENCE)
        extra |= schema.pop("$defs", {})
        made[each.__name__] = schema
    return {**ASKED, **extra, **made}


def read(body: type[T], content: dict[str, Any]) -> T:
    """The body. Raises Answer 400 for the first field that is not as documented, one that is not documented included."""
    try:
        return body.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = printable(".".join(str(each) for each in first["loc"]) or "the body", 100)
        raise Answer(400, "bad-body", f"{where}: {printable(first['msg'], 200)}. See /openapi.json.") from None


def _checked(record: CatalogModel) -> CatalogModel:
    """A model that machines can use, its hashes hashes. Raises BadRecord."""
    usable(record)
    if record.hash is not None and Pin.parse(record.hash) is None:
        raise BadRecord(name=record.name, why=f"'{printable(record.hash, 80)}' is no hash of a known kind")
    for algorithm, digits in record.hashes:
        if Pin.parse(f"{algorithm}:{digits}") is None:
            raise BadRecord(name=record.name, why=f"its {algorithm} is no {algorithm}")
    if record.model_type:
        return record
    folder = ShelfPath.parse(record.save_to, record.name).folder
    return CatalogModel(**{**_fields(record), "model_type": folder})


def _fields(record: CatalogModel) -> dict[str, Any]:
    return {name: getattr(record, name) for name in CatalogModel.__dataclass_fields__}


def _node(body: str | NodeBody, at: int) -> CustomNode:
    if isinstance(body, str):
        return CustomNode(name=body, install_order=at)
    order = at if body.install_order is None else body.install_order
    return CustomNode(
        name=body.name, repository_url=body.repositoryUrl, branch=body.branch, commit=body.commit, install_order=order
    )
