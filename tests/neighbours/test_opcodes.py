from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.neighbours.opcodes import MAX_BYTES, flat

HEX = b"ab" * 32
PROTOCOL_5 = (
    b"\x80\x05\x95b\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x05mtime\x94GA\xd9T\xfc@\x10\x00\x00\x8c\x06sha256\x94\x8c@"
    + HEX
    + b"\x94u."
)
PROTOCOL_2 = (
    b"\x80\x02}q\x00(X\x05\x00\x00\x00mtimeq\x01GA\xd9T\xfc@\x10\x00\x00X\x06\x00\x00\x00sha256q\x02X@\x00\x00\x00"
    + HEX
    + b"q\x03u."
)
WITHOUT_HASH = b"\x80\x05\x95\x19\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x05mtime\x94K\x01\x8c\x06sha256\x94Nu."
RUNNING_A_COMMAND = (
    b"\x80\x05\x95D\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x05mtime\x94\x8c\x05posix\x94\x8c\x06system\x94\x93\x94"
    b"\x8c\x10touch /tmp/pwned\x94\x85\x94R\x94\x8c\x06sha256\x94\x8c\x01a\x94u."
)
NESTED = b"\x80\x05\x95\x11\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94}\x94\x8c\x01b\x94K\x01ss."
RECALLED = b"\x80\x05}\x94(\x8c\x01a\x94h\x01u."


@pytest.mark.parametrize("data", [PROTOCOL_5, PROTOCOL_2])
def test_a_flat_dictionary_is_read_in_every_protocol_that_diskcache_uses(data: bytes) -> None:
    assert flat(data) == {"mtime": 1700000000.25, "sha256": HEX.decode()}


def test_nothing_and_recalled_values_are_plain_too() -> None:
    assert flat(WITHOUT_HASH) == {"mtime": 1, "sha256": None}
    assert flat(RECALLED) == {"a": "a"}
    assert flat(b"\x80\x05}.") == {}


def test_k6_a_pickle_that_would_run_a_command_is_no_dictionary() -> None:
    assert flat(RUNNING_A_COMMAND) is None


@pytest.mark.parametrize(
    "data",
    [
        b"", b".", b"\x80\x05]\x94K\x01a.", NESTED, PROTOCOL_5[:-1], PROTOCOL_5[:40], b"\x80\x05}h\x09.", b"\x80\x05K\x01u.",
        b"\x80\x05}}.", b"\x80\x05}(\x8c\x01au.", b"\x80\x05}K\x01K\x02s.", b"\x80\x05" + b"N" * 500 + b".", b"\x80\x05q\x00.",
        b"\x80\x05}" + b" " * MAX_BYTES,
    ],
)  # fmt: skip
def test_anything_else_is_none(data: bytes) -> None:
    assert flat(data) is None


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda noise: PROTOCOL_5[:30] + noise + PROTOCOL_5[30:]))
def test_k6_noise_never_fails(data: bytes) -> None:
    found = flat(data)
    assert found is None or isinstance(found, dict)
