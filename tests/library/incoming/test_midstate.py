from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.library.incoming import midstate
from model_manager.library.incoming.midstate import SIZE, resumable


@given(content=st.binary(max_size=400), cut=st.integers(0, 400))
def test_a_saved_state_goes_on_as_if_nothing_had_happened(content: bytes, cut: int) -> None:
    first = resumable()
    assert first is not None, "CPython with OpenSSL has these functions"
    first.update(content[:cut])
    state = first.save()
    assert len(state) == SIZE
    second = resumable(state)
    assert second is not None
    second.update(memoryview(content)[cut:])
    first.update(memoryview(bytearray(content))[cut:])
    assert first.hexdigest() == second.hexdigest() == second.hexdigest() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("missing", ["SHA256_Init", "SHA256_Final"])
def test_without_the_functions_there_is_none(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    real = midstate.ctypes.CDLL

    class Poor:
        def __init__(self, name: str) -> None:
            self._library = real(name)

        def __getattr__(self, name: str) -> object:
            if name == missing:
                raise AttributeError(name)
            return getattr(self._library, name)

    monkeypatch.setattr(midstate.ctypes, "CDLL", Poor)
    monkeypatch.setattr(midstate, "_library", midstate._library.__wrapped__)
    assert resumable() is None


def test_a_library_that_computes_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(midstate.hashlib, "sha256", hashlib.sha512)
    assert midstate._library.__wrapped__() is None
