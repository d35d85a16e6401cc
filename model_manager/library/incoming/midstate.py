"""SHA-256 whose state can be written down and taken up again, by the very library that Python's hashlib uses."""

from __future__ import annotations

import ctypes
import hashlib
from functools import cache
from typing import Any, Final

SIZE: Final = 112
"""Bytes of SHA256_CTX: eight words of state, two of length, 64 bytes of data, two counters (openssl/sha.h)."""


class Sha256:
    """As hashlib's, with `save`. Make it with `resumable`, which knows whether it can be had here."""

    def __init__(self, library: Any, state: bytes | None = None) -> None:
        self._library = library
        self._state = ctypes.create_string_buffer(SIZE)
        if state is None:
            library.SHA256_Init(self._state)
        else:
            ctypes.memmove(self._state, state, SIZE)

    def update(self, data: bytes | memoryview) -> None:
        """Releases the interpreter's lock, and copies nothing that is writable or bytes."""
        if isinstance(data, memoryview):
            if data.readonly:
                data = bytes(data)
            else:
                pointer = (ctypes.c_char * len(data)).from_buffer(data)
                self._library.SHA256_Update(self._state, pointer, ctypes.c_size_t(len(data)))
                return
        self._library.SHA256_Update(self._state, data, ctypes.c_size_t(len(data)))

    def save(self) -> bytes:
        """The state after everything so far."""
        return self._state.raw

    def hexdigest(self) -> str:
        """Of everything so far; more may follow."""
        copy = ctypes.create_string_buffer(self._state.raw, SIZE)
        digest = ctypes.create_string_buffer(32)
        self._library.SHA256_Final(digest, copy)
        return digest.raw.hex()


def resumable(state: bytes | None = None) -> Sha256 | None:
    """A new one, or one that goes on from a saved state; None where this library has no such functions."""
    library = _library()
    return None if library is None else Sha256(library, state)


@cache
def _library() -> Any:
    """The library, once it has proved that it computes SHA-256 from a state that was saved in the middle."""
    try:
        import _hashlib

        library = ctypes.CDLL(_hashlib.__file__)  # finds the symbols of the libcrypto that it is linked with
        for name in ("SHA256_Init", "SHA256_Update", "SHA256_Final"):
            getattr(library, name).restype = ctypes.c_int
        return library if _proves_itself(library) else None
    except (ImportError, AttributeError, OSError):
        return None


def _proves_itself(library: Any) -> bool:
    content = bytes(range(251)) * 5
    first = Sha256(library)
    first.update(content[:333])
    second = Sha256(library, first.save())
    first.update(memoryview(bytearray(content[333:])))
    second.update(content[333:])
    right = hashlib.sha256(content).hexdigest()
    return first.hexdigest() == second.hexdigest() == right and int.from_bytes(first.save()[-4:], "little") == 32
