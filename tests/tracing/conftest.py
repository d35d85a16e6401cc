from __future__ import annotations

import sys

import pytest

from tests.conftest import otel_directory


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the extra `otel`, which are kept apart."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(otel_directory())])
