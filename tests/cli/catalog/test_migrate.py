from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Call


def test_down_and_up_with_a_copy_before_each_step(call: Call, tmp_path: Path) -> None:
    assert call("catalog", "export", str(tmp_path / "out.ndjson"))[0] == 0
    for target in ("0001", "head"):
        code, out, _ = call("catalog", "migrate", "--to", target)
        assert code == 0
        assert "holds the catalog as it was" in out
    assert len(list(tmp_path.glob("catalog.sqlite.before-*"))) == 2


def test_a_revision_that_nobody_knows_is_refused(call: Call, tmp_path: Path) -> None:
    assert call("catalog", "export", str(tmp_path / "out.ndjson"))[0] == 0
    code, _, err = call("catalog", "migrate", "--to", "77")
    assert code == 78
    assert "Name one of 0001, 0002" in err


def test_what_is_no_catalog_is_not_migrated(call: Call, tmp_path: Path) -> None:
    code, _, err = call("catalog", "migrate", "--database", str(tmp_path / "none.sqlite"))
    assert code == 78
    assert "model-manager: catalog database: " in err
    assert not (tmp_path / "none.sqlite").exists()
