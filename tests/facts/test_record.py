from __future__ import annotations

import pytest

from model_manager.errors import BadAssignment, BadRecord
from model_manager.facts.model import Assignment, Size
from model_manager.facts.record import (
    MAX_NAMES,
    assignment_record,
    collection_record,
    model_record,
    tells_optional,
    without_token,
    workflow_record,
)

CAMEL = {
    "id": 7,
    "name": "flux1-dev-fp8.safetensors",
    "downloadUrl": "https://huggingface.co/lllyasviel/flux1_dev/resolve/main/flux1-dev-fp8.safetensors",
    "saveTo": "models/unet/flux1-dev-fp8.safetensors",
    "fileSize": "17.2GB",
    "isAuthReq": True,
    "authEnvVar": "HF_TOKEN",
}
SNAKE = {
    "id": "flux-dev",
    "name": "flux1-dev.safetensors",
    "download_url": "https://huggingface.co/black-forest-labs/FLUX.1-dev/resolve/main/flux1-dev.safetensors",
    "file_size_gb": 23.8,
    "hash": "7fac5935ad7b22c0e9147b26ae3f890b",
    "auth_required": True,
    "auth_provider": "huggingface",
    "save_path": "checkpoints/flux1-dev.safetensors",
    "dependencies": ["ae"],
    "description": "FLUX.1-dev",
}
GOOD = {"name": "a.safetensors", "url": "https://h.example/a.safetensors", "save_to": "vae"}


def read(**changes):
    return model_record({**GOOD, **changes}, "a.safetensors")


def test_the_camel_case_family():
    model = model_record(CAMEL, CAMEL["name"])
    assert (model.name, str(model.path), model.id) == (CAMEL["name"], "unet/flux1-dev-fp8.safetensors", "7")
    assert (model.sources[0].url, model.sources[0].token, model.gated) == (CAMEL["downloadUrl"], "HF_TOKEN", True)
    assert (model.size, model.pin) == (Size(bytes=17_200_000_000, exact=False), None)


def test_the_snake_case_family():
    model = model_record(SNAKE, "flux-dev")
    assert (str(model.path), model.depends, model.id) == ("checkpoints/flux1-dev.safetensors", ("ae",), "flux-dev")
    assert (model.size, model.sources[0].token) == (Size(bytes=23_800_000_000, exact=False), "HF_TOKEN")
    assert model.pin.algorithms == ("md5",)


def test_the_third_spelling():
    model = model_record(
        {"filename": "b.gguf", "url": "http://h.example/b", "save_to": "unet", "is_auth_req": False, "file_size": 9},
        "b.gguf",
    )
    assert (model.name, str(model.path), model.size, model.gated) == (
        "b.gguf",
        "unet/b.gguf",
        Size(bytes=9, exact=True),
        False,
    )


@pytest.mark.parametrize(
    ("size", "is_meant"),
    [("17.2GB", (17_200_000_000, False)), ("0.3 gb", (300_000_000, False)), ("2GiB", (2 << 30, False)), ("5M", (5_000_000, False)),
     (123, (123, True)), ("123", (123, True)), ("123 bytes", (123, True)), (123.0, (123, True)), (1.5, (1, False)),
     ("", None), ("big", None), (0, None), (-5, None), (True, None), (None, None), ([1], None), ("1e400", None), (10**30, None),
     (float("inf"), None), (float("nan"), None), ("9" * 50, None), ("-1GB", None), ("99999999TB", None)],
)  # fmt: skip
def test_f8_sizes(size, is_meant):
    assert read(size=size).size == (Size(bytes=is_meant[0], exact=is_meant[1]) if is_meant else None)


def test_f8_a_size_in_bytes_goes_before_gigabytes():
    assert read(file_size=5, file_size_gb=9.9).size == Size(bytes=5, exact=True)
    assert read(file_size="?", file_size_gb=2).size == Size(bytes=2_000_000_000, exact=False)


@pytest.mark.parametrize(
    ("text", "algorithms"),
    [("a" * 64, ("sha256", "blake3")), ("A" * 64, ("sha256", "blake3")), ("b" * 32, ("md5",)), ("c" * 10, ("autov2",)),
     ("sha256:" + "a" * 64, ("sha256",)), ("", None), ("null", None), (None, None), ("a" * 63, None), ("z" * 64, None), (5, None),
     ("sha256:" + "a" * 32, None)],
)  # fmt: skip
def test_f8_hashes(text, algorithms):
    pin = read(hash=text).pin
    assert (pin.algorithms if pin else None) == algorithms


@pytest.mark.parametrize(
    "path",
    ["../x.safetensors", "/etc/cron.d/x", "a/../../b.safetensors", "..\\x.safetensors", "vae/%2e%2e/x.safetensors",
     "C:\\x.safetensors", "vae/a\0.safetensors", "vae/a\n.safetensors", "vae/\ud800.safetensors", "vae/\u202ex.safetensors",
     "vae/" + "x" * 300 + ".safetensors", "vae/CON.safetensors", "vae/x.safetensors.", "vae/.x.safetensors"],
)  # fmt: skip
def test_k1_a_path_that_leaves_the_shelves_is_a_bad_record(path):
    with pytest.raises(BadRecord, match="is refused") as caught:
        read(save_to=path)
    assert str(caught.value).isprintable()


def test_k1_a_name_is_held_to_the_same_rules():
    with pytest.raises(BadRecord, match="is refused"):
        model_record({**GOOD, "name": "../a.safetensors"}, "x")


@pytest.mark.parametrize(
    "url",
    [None, "", 5, "file:///etc/passwd", "ftp://h/x", "javascript:alert(1)", "h.example/x", "https://", "https://u:p@h.example/x",
     "https://huggingface.co@evil/x", "https://h.example/a\nb", "https://h.example\\@evil/", "https://[bad/x",
     "https://h.example/" + "a" * 5000],
)  # fmt: skip
def test_k4_an_address_that_is_never_fetched_is_a_bad_record(url):
    with pytest.raises(BadRecord):
        read(url=url)


def test_k12_a_token_in_an_address_is_dropped_and_never_told():
    model = read(url="https://civitai.com/api/download/models/1?type=Model&token=CANARY&format=a%2Bb")
    assert model.sources[0].url == "https://civitai.com/api/download/models/1?type=Model&format=a%2Bb"
    with pytest.raises(BadRecord) as caught:
        read(url="ftp://h/x?key=CANARY")
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "bare"),
    [("https://h/x?token=a", "https://h/x"), ("https://h/x?TOKEN=a&b=1", "https://h/x?b=1"), ("https://h/x?mytoken=a", "https://h/x?mytoken=a"),
     ("https://h/x?download=true", "https://h/x?download=true"), ("https://h/x", "https://h/x"), ("https://h/x?", "https://h/x")],
)  # fmt: skip
def test_without_token(url, bare):
    assert without_token(url) == bare


def test_blanks_in_an_address_are_escaped_and_pages_are_kept():
    assert read(url=" https://h.example/a b/blob/c ").sources[0].url == "https://h.example/a%20b/blob/c"


@pytest.mark.parametrize(
    ("fields", "token", "gated"),
    [({"isAuthReq": True, "authEnvVar": "AWS_SECRET_ACCESS_KEY"}, None, True), ({"isAuthReq": True}, None, True),
     ({"isAuthReq": False, "authEnvVar": "HF_TOKEN"}, None, False), ({"authEnvVar": "CIVITAI_API_KEY"}, "CIVITAI_TOKEN", True),
     ({"auth_required": True, "auth_provider": " HuggingFace "}, "HF_TOKEN", True), ({"isAuthReq": "yes"}, None, False), ({}, None, False),
     ({"authEnvVar": ["HF_TOKEN"]}, None, False)],
)  # fmt: skip
def test_k5_only_our_own_token_names_are_ever_meant(fields, token, gated):
    model = read(**fields)
    assert (model.sources[0].token, model.gated) == (token, gated)


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        "x",
        5,
        {},
        {"name": None},
        {"name": 5},
        {**GOOD, "name": ""},
        {**GOOD, "dependencies": "ae"},
        {**GOOD, "dependencies": [None]},
        {**GOOD, "saveTo": 5},
    ],
)
def test_f3_what_is_no_model_is_refused(record):
    with pytest.raises(BadRecord):
        model_record(record, "asked")


def test_a_workflow_with_names_only_needs_them_all():
    record = workflow_record(
        {"id": 3, "name": "w", "models": ["a", "b", "a"], "custom_nodes": ["n", {"name": "m"}, 5]}, "w"
    )
    assert (record.name, record.id, record.models, record.optional) == ("w", "3", ("a", "b"), ())
    assert record.custom_nodes == ("n", "m")


@pytest.mark.parametrize(
    "relation", [{"model": {"name": "b"}}, {"model_name": "b"}, {"model": "b"}, {"name": "b"}, {"model_id": "b"}]
)
def test_relations_say_what_is_optional(relation):
    fields = {
        "name": "w",
        "models": ["a", "b"],
        "workflow_model": [{**relation, "is_required": False}, {"model_name": "c", "is_required": True}],
    }
    record = workflow_record(fields, "w")
    assert (record.models, record.optional) == (("a", "c"), ("b",))


@pytest.mark.parametrize("value", [None, "false", 0, "no", []])
def test_what_is_not_plainly_optional_is_required(value):
    assert workflow_record({"models": [{"name": "a", "is_required": value}]}, "w").models == ("a",)


def test_whole_records_inside_a_workflow_are_kept():
    record = workflow_record(
        {"name": "w", "models": [GOOD, "b"], "workflow_model": [{"model": {**CAMEL}, "is_required": False}]}, "w"
    )
    assert [model.name for model in record.inline] == [GOOD["name"], CAMEL["name"]]
    assert record.models == (GOOD["name"], "b")
    assert workflow_record({"models": [{**GOOD, "save_to": "../x"}]}, "w").inline == ()


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        {},
        {"name": "w"},
        {"models": None},
        {"models": "a"},
        {"models": {"a": 1}},
        {"models": [None]},
        {"models": [5.5]},
        {"models": [{}]},
        {"models": ["a"] * (MAX_NAMES + 1)},
        {"name": 5, "models": []},
    ],
)
def test_f3_a_workflow_that_does_not_say_what_it_needs_is_refused(record):
    with pytest.raises(BadRecord):
        workflow_record(record, "w")


def test_whether_a_workflow_tells_the_optional_ones():
    assert tells_optional({"models": ["a"], "workflow_model": []})
    assert tells_optional({"models": [{"name": "a", "is_required": True}]})
    assert not tells_optional({"models": ["a"]})
    assert not tells_optional({"models": [{"name": "a"}]})
    assert not tells_optional(None)


@pytest.mark.parametrize(
    "node",
    ["w", {"name": "w"}, {"workflow_name": "w", "name": "Node 1"}, {"workflow": {"name": "w"}}, {"component": "w"},
     {"component_definition": {"name": "w", "id": 1}}, {"workflow_id": "w"}],
)  # fmt: skip
def test_nodes_of_a_collection(node):
    assert collection_record({"collection_node": [node]}, "c").workflows == ("w",)
    assert collection_record({"components": [node, node]}, "c").id == "c"


@pytest.mark.parametrize(
    "record",
    [None, [], {}, {"components": None}, {"components": "w"}, {"collection_node": [{}]}, {"collection_node": [None]}],
)
def test_f3_a_collection_that_does_not_list_workflows_is_refused(record):
    with pytest.raises(BadRecord):
        collection_record(record, "c")


def test_an_empty_list_that_is_really_there_is_an_answer():
    assert collection_record({"components": []}, "c").workflows == ()
    assert workflow_record({"models": []}, "w").models == ()


@pytest.mark.parametrize(
    "content",
    [
        {"workflows": ["a", " b ", "", "a"], "models": ["x"]},
        {"workflows": "a, b,,a", "models": "x"},
        {"workflows": '["a", "b"]', "models": ("x",), "collections": [], "components": ""},
    ],
)
def test_an_assignment_is_lists_comma_lists_or_json_lists(content: dict[str, object]) -> None:
    assert assignment_record(content, "here") == Assignment(workflows=("a", "b"), models=("x",))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([], "not an object"),
        ({"workflow_ids": ["a"]}, "unknown fields: workflow_ids"),
        ({"workflows": {"a": 1}}, "neither a comma list"),
        ({"workflows": ["a", 1]}, "neither a comma list"),
        ({"workflows": "[1"}, "not JSON"),
        ({"workflows": ["a\nb"]}, "control characters"),
        ({"workflows": ["a" * 513]}, "too long"),
        ({"models": [str(n) for n in range(10_001)]}, "more than 10000"),
    ],
)
def test_g3_an_assignment_that_is_wrong_is_refused_whole(content: object, why: str) -> None:
    with pytest.raises(BadAssignment, match=why):
        assignment_record(content, "here")


def test_sources_follow_the_download_address_in_their_order_and_those_that_are_none_are_left_out():
    fields = {
        "name": "a.pt",
        "downloadUrl": "https://h/a",
        "saveTo": "vae",
        "sources": ["https://m/a", "https://h/a", "file:///x", 5],
    }
    assert [source.url for source in model_record(fields, "a").sources] == ["https://h/a", "https://m/a"]
    assert [source.url for source in model_record(fields | {"downloadUrl": None}, "a").sources] == [
        "https://m/a",
        "https://h/a",
    ]
    with pytest.raises(BadRecord):
        model_record(fields | {"downloadUrl": "file:///x"}, "a")
