from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from model_manager.catalog.server import Rules
from model_manager.cli.catalog import serve as module
from tests.cli.conftest import Call


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What a run was asked for; it ends at once."""
    told: list[object] = []

    async def run(
        database: object,
        host: str,
        port: int,
        *,
        rules: Rules,
        kept: int,
        beside: object,
        started: object,
        tracer: object,
    ) -> None:
        told.extend((database, host, port, rules, kept, beside))
        started("http://127.0.0.1:8484")  # type: ignore[operator]

    monkeypatch.setattr(module, "run", run)
    return told


def test_serving_names_its_address(call: Call, tmp_path: Path, served: list[object]) -> None:
    code, _, err = call("catalog", "serve", "--port", "0")
    assert (code, err) == (0, "catalog at http://127.0.0.1:8484\n")
    assert served[:3] == [tmp_path / "catalog.sqlite", "127.0.0.1", 0]


def test_the_settings_say_who_may_write_and_which_tokens_are_here(
    call: Call, served: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "MODEL_MANAGER_CATALOG_TOKENS": "ann=12345678, bob=abc=defgh",
        "MODEL_MANAGER_CATALOG_NAMES": "catalog.example",
        "MODEL_MANAGER_CATALOG_ORIGINS": "https://ui.example",
        "MODEL_MANAGER_CATALOG_REQUESTS": "7",
        "MODEL_MANAGER_CATALOG_CHANGES": "5000",
        "MODEL_MANAGER_CATALOG_PORT": "9",
        "DATABASE_URL": "postgresql://h/d",
        "CIVITAI_TOKEN": "c",
    }.items():
        monkeypatch.setenv(name, value)
    assert call("catalog", "serve", "--host", "0.0.0.0", "--read-only")[0] == 0
    assert served[:3] == ["postgresql://h/d", "0.0.0.0", 9]
    rules, kept, _ = served[3:]
    assert kept == 5000
    assert isinstance(rules, Rules)
    assert rules.writers == {"ann": "12345678", "bob": "abc=defgh"}
    assert (rules.names, rules.origins, rules.per_minute) == (("catalog.example",), ("https://ui.example",), 7)
    assert rules.tokens == {"CIVITAI_TOKEN", "CIVITAI_API_KEY"}
    assert rules.read_only


@pytest.mark.parametrize("tokens", ["short", "ann=short", "ann=12345678,ann=87654321", "=12345678", "a n=12345678"])
def test_tokens_that_are_none_are_refused_and_not_shown(
    call: Call, monkeypatch: pytest.MonkeyPatch, tokens: str
) -> None:
    monkeypatch.setenv("MODEL_MANAGER_CATALOG_TOKENS", tokens)
    code, _, err = call("catalog", "serve")
    assert code == 78
    assert "MODEL_MANAGER_CATALOG_TOKENS" in err
    assert "12345678" not in err


def test_several_processes_share_the_limit_and_no_password_is_in_their_arguments(
    call: Call, served: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Sequence[Sequence[str]], Mapping[str, str]]] = []
    monkeypatch.setattr(module, "leading", lambda commands, environ: told.append((commands, environ)))
    monkeypatch.setenv("MODEL_MANAGER_CATALOG_PROCESSES", "3")
    monkeypatch.setenv("MODEL_MANAGER_CATALOG_REQUESTS", "100")
    assert call("catalog", "serve", "--database", "postgresql://u:secret@h/d", "--read-only")[0] == 0
    rules = served[3]
    assert isinstance(rules, Rules)
    assert rules.per_minute == 34
    ((commands, environ),) = told
    assert [list(each)[4:] for each in commands] == [
        ["catalog", "serve", "--beside", str(number), "--read-only"] for number in (2, 3)
    ]
    assert environ["DATABASE_URL"] == "postgresql://u:secret@h/d"
