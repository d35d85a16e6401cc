from __future__ import annotations

from pathlib import Path

import pytest

from model_manager.cli.catalog.opening import address_of


def test_what_is_given_counts_more_than_the_settings(
    bare: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODEL_MANAGER_STATE_DIR", str(tmp_path / "state"))
    assert address_of(None) == tmp_path / "state" / "catalog.sqlite"
    assert (tmp_path / "state").is_dir()
    monkeypatch.setenv("DATABASE_URL", "postgresql://h/d")
    assert address_of(None) == "postgresql://h/d"
    assert address_of(str(tmp_path / "c.sqlite")) == tmp_path / "c.sqlite"
    assert address_of("postgresql://other/d") == "postgresql://other/d"
