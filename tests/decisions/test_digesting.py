from __future__ import annotations

import pytest

from model_manager.decisions.digesting import EVERYTHING, again, needed
from model_manager.facts.identity import Digests, Pin


@pytest.mark.parametrize(
    ("promised", "digests"),
    [
        ("", {"sha256"}),
        ("sha256:" + "a" * 64, {"sha256"}),
        ("blake3:" + "a" * 64, {"blake3"}),
        ("a" * 64, {"sha256", "blake3"}),
        ("a" * 10, {"sha256"}),
        ("a" * 12, {"sha256", "autov3"}),
        ("a" * 32, {"sha256", "md5"}),
    ],
)
def test_a_download_computes_what_its_pin_can_be_judged_by(promised: str, digests: set[str]) -> None:
    assert needed(Pin.parse(promised)) == digests


@pytest.mark.parametrize(
    ("known", "digests"),
    [
        (Digests(sha256="a" * 64, blake3="b" * 64), {"blake3"}),
        (Digests(sha256="a" * 64, blake3="b" * 64, tensor="c" * 64), {"blake3"}),
        (Digests(sha256="a" * 64), EVERYTHING),
        (Digests(blake3="b" * 64), EVERYTHING),
    ],
)
def test_c12_what_is_read_again_is_proved_by_the_quickest_digest_and_else_learns_the_rest(
    known: Digests, digests: set[str]
) -> None:
    assert again(known) == digests
