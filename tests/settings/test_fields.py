from __future__ import annotations

import pytest

from model_manager.errors import BadSetting, BadSettings
from model_manager.settings import Settings, change_of, load, names
from tests.settings.environments import CANARY, MINIMAL, NAMES, refused, value_of

EVERY = [(field, name) for field, choices in NAMES.items() for name in choices]


def test_the_names_that_others_set_are_exactly_these():
    found = {field: tuple(name for name, target in names().items() if target == field) for field in NAMES}
    assert found == NAMES


@pytest.mark.parametrize(("field", "name"), EVERY)
def test_every_name_and_alias_fills_its_field(field, name):
    with_it, without = load({**MINIMAL, name: value_of(field)[0]}), load(MINIMAL)
    assert getattr(with_it, field) != getattr(without, field)
    assert all(getattr(with_it, other) == getattr(without, other) for other in Settings.model_fields if other != field)


@pytest.mark.parametrize(
    "name",
    ["name", "status", "watch", "workflow_ids", "Workflow_Ids", "machine_id", "pm_id", "concurrency", "hf_token"],
)
def test_g6_lower_case_names_have_no_effect(name):
    assert load({**MINIMAL, name: "1"}) == load(MINIMAL)


def test_without_anything_there_are_defaults():
    settings = load({})
    assert (settings.redis_url, settings.catalog_url, settings.redis_prefix) == (None, None, "")
    assert (settings.stall_minutes, settings.concurrency, settings.retry_attempts) == (30, 3, 3)
    assert settings.assignment.empty
    assert settings.machine_id


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("flux", ("flux",)),
        (" flux , ,style,, flux ", ("flux", "style")),
        (",", ()),
        (",,, ", ()),
        ("", ()),
        ("żółw,名前", ("żółw", "名前")),
        ("a b", ("a b",)),
        ("a\n,b", ("a", "b")),
    ],
)
@pytest.mark.parametrize("name", ["WORKFLOW_IDS", "COLLECTIONS", "COMPONENTS", "MACHINE_MODELS_NEEDED"])
def test_g1_lists_tolerate_blanks_commas_and_repetitions(name, text, found):
    settings = load({**MINIMAL, name: text})
    assert getattr(settings, names()[name]) == found


def test_components_stay_apart_unless_they_are_to_become_workflows():
    environ = {**MINIMAL, "WORKFLOW_IDS": "a", "COMPONENTS": "b,a"}
    assert load(environ).assignment.components == ("b", "a")
    migrated = load({**environ, "MIGRATE_TO_WORKFLOWS": "true"}).assignment
    assert (migrated.workflows, migrated.components) == (("a", "b"), ())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODEL_DOWNLOAD_CONCURRENCY", "0"),
        ("MODEL_DOWNLOAD_CONCURRENCY", "65"),
        ("MODEL_DOWNLOAD_CONCURRENCY", "three"),
        ("MODEL_DOWNLOAD_CONCURRENCY", "1.5"),
        ("MODEL_DOWNLOAD_TIMEOUT_MINUTES", "-1"),
        ("MODEL_DOWNLOAD_TIMEOUT_MINUTES", "0"),
        ("MODEL_DOWNLOAD_TIMEOUT_MINUTES", "nan"),
        ("MODEL_DOWNLOAD_TIMEOUT_MINUTES", "inf"),
        ("MODEL_DOWNLOAD_RETRY_ATTEMPTS", "0"),
        ("MODEL_MANAGER_CATALOG_POLL_SECONDS", "1e9"),
        ("MODEL_MANAGER_RECONCILE_SECONDS", "1e9"),
        ("MODEL_MANAGER_SETTLE_SECONDS", "nan"),
        ("MODEL_MANAGER_HEARTBEAT_SECONDS", "1e9"),
        ("MODEL_MANAGER_DISK_FLOOR", "-1"),
        ("MODEL_MANAGER_DISK_FLOOR", "2GB"),
        ("MODEL_MANAGER_HTTP_PORT", "70000"),
        ("MODEL_MANAGER_UNPINNED", "maybe"),
        ("MODEL_MANAGER_ALLOW_PICKLE", "perhaps"),
        ("MODEL_MANAGER_LOG_LEVEL", "loud"),
        ("MIGRATE_TO_WORKFLOWS", "2"),
        ("EMPROPS_API_URL", "api.example"),
        ("EMPROPS_API_URL", "file:///etc/passwd"),
        ("EMPROPS_API_URL", "https://user:pw@api.example"),
        ("MODEL_MANAGER_PROXY", "socks5://h:1"),
        ("REDIS_URL", "http://h:1"),
        ("MACHINE_ID", "a:b"),
        ("MACHINE_ID", "a.b"),
        ("MACHINE_ID", "ä"),
        ("MACHINE_ID", "x" * 129),
    ],
)
def test_g5_a_value_out_of_its_range_is_named_with_what_to_write(name, value):
    said = refused({"MACHINE_ID": "m1", name: value})
    assert name in said
    assert "Write:" in said or "Use " in said
    assert "user:pw" not in said


@pytest.mark.parametrize("name", ["MODEL_MANAGER_READ_RATE", "MODEL_MANAGER_SCRUB_RATE"])
@pytest.mark.parametrize("value", ["fast", "*=50MB", "50MB,sda=1", "-1"])
def test_g5_a_rate_of_reading_is_one_amount(name, value):
    with pytest.raises(BadSettings) as refused:
        load({**MINIMAL, name: value})
    assert name in str(refused.value)


def test_background_reading_is_bounded_unless_it_is_said_otherwise():
    found = load(MINIMAL)
    assert (found.pace, found.scrub_pace) == (250_000_000, 50_000_000)
    free = load({**MINIMAL, "MODEL_MANAGER_READ_RATE": "0", "MODEL_MANAGER_SCRUB_RATE": "0"})
    assert (free.pace, free.scrub_pace) == (None, None)


@pytest.mark.parametrize("name", ["HF_TOKEN", "CIVITAI_API_KEY", "EMPROPS_API_KEY"])
@pytest.mark.parametrize("value", [f"{CANARY}\nX-Evil: 1", f"{CANARY} {CANARY}", f"{CANARY}\x00", f"{CANARY}ä"])
def test_g2_a_token_that_could_not_be_a_header_is_refused_unseen(name, value):
    said = refused({**MINIMAL, name: value})
    assert name in said
    assert "CANARY" not in said


@pytest.mark.parametrize(
    ("environ", "hub"),
    [
        ({}, "/home/x/.cache/huggingface/hub"),
        ({"HF_HOME": "/big/hf"}, "/big/hf/hub"),
        ({"HF_HUB_CACHE": "/big/hub", "HF_HOME": "/big/hf"}, "/big/hub"),
        ({"HUGGINGFACE_HUB_CACHE": "~/hub"}, "/home/x/hub"),
    ],
)
def test_huggingfaces_cache_is_where_its_own_library_looks(monkeypatch, environ, hub):
    monkeypatch.setenv("HOME", "/home/x")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert str(load({**MINIMAL, **environ}).hub) == hub
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert str(load(MINIMAL).hub) == "/cache/huggingface/hub"


def test_no_secret_is_in_the_text_of_settings():
    settings = load({**MINIMAL, "HF_TOKEN": CANARY, "REDIS_URL": "redis://:hunter2@h:1"})
    assert "CANARY" not in f"{settings!r}{settings}"
    assert "hunter2" not in f"{settings!r}{settings}"


@pytest.mark.parametrize(
    ("environ", "store"),
    [
        ({"WORKSPACE_PATH": "/w"}, "/w/models"),
        ({"WORKSPACE_PATH": "/w", "COMFYUI_BASE_PATH": "/c"}, "/w/models"),
        ({"COMFYUI_BASE_PATH": "/c"}, "/c/models"),
        ({"COMFYUI_MODELS_PATH": "/c/models", "WORKSPACE_PATH": "/w"}, "/c/models"),
        ({"MODEL_PATH": "/m", "COMFYUI_MODELS_PATH": "/c/models"}, "/m"),
        ({"MODEL_MANAGER_STORE": "/s", "MODEL_PATH": "/m"}, "/s"),
    ],
)
def test_the_store_is_what_was_named_for_it_and_outlives_a_wiped_tree(environ, store):
    assert load({**MINIMAL, **environ}).own_root.path == store


def test_without_any_path_the_store_is_asked_for():
    with pytest.raises(BadSetting, match="MODEL_MANAGER_STORE"):
        _ = load(MINIMAL).own_root


@pytest.mark.parametrize(
    ("environ", "tree"),
    [
        ({}, None),
        ({"WORKSPACE_DIR": "/w"}, "/w/ComfyUI/models"),
        ({"COMFYUI_BASE_PATH": "/c"}, "/c/models"),
        ({"COMFYUI_MODELS_PATH": "/x"}, "/x"),
    ],
)
def test_where_comfyui_looks(environ, tree):
    found = load({**MINIMAL, **environ}).comfyui_models_dir
    assert (None if found is None else str(found)) == tree


def test_the_state_is_where_it_was_named_or_in_the_workspace():
    assert str(load({**MINIMAL, "MODEL_MANAGER_STATE_DIR": "/s", "WORKSPACE_PATH": "/w"}).state) == "/s"
    assert str(load({**MINIMAL, "WORKSPACE_PATH": "/w"}).state) == "/w/.model_manager"


def test_a_host_name_becomes_a_machine_id(monkeypatch):
    for host, machine in (("gpu.node:7", "gpu-node-7"), ("-_x", "x"), ("…", "machine"), ("h" * 200, "h" * 128)):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        assert load({}).machine_id == machine


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_field_says_whether_a_reload_adopts_it_and_what_to_write(field):
    assert change_of(field) in ("live", "restart")
    assert Settings.model_fields[field].description


def test_a_field_that_does_not_exist_changes_nothing():
    with pytest.raises(KeyError):
        change_of("nothing")


def test_settings_never_change():
    with pytest.raises(ValueError, match="frozen"):
        load(MINIMAL).concurrency = 9
