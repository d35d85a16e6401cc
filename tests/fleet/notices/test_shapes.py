from __future__ import annotations

import pytest

from model_manager.fleet.notices.shapes import _target


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        ("https://hooks.example.com/services/T0/B0/secret?x=secret", "https://hooks.example.com"),
        ("http://user:secret@h.test:8080/secret", "http://h.test:8080"),
    ],
)
def test_of_an_address_only_the_host_is_shown(url: str, shown: str) -> None:
    assert _target(url) == shown
