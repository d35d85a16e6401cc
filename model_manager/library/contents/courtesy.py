"""A thread that lets every other go first, to the processor and to the disk."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from contextlib import suppress
from typing import Final

NICEST: Final = 19
_IDLE: Final = 3 << 13 | 7  # IOPRIO_CLASS_IDLE, linux/ioprio.h
_THIS_THREAD: Final = (1, 0)  # IOPRIO_WHO_PROCESS; 0 is the calling thread
_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
"""Number of the system call by machine (asm/unistd_64.h, asm-generic/unistd.h); the C library has no function for it."""


def give_way() -> None:
    """From now on the calling thread, and every thread that it starts, reads and computes when nobody else wants to.

    Not undone: only root could. Let a thread of its own call it, which ends with its work. What the system does not permit
    or does not have is left as it is.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICEST)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None and ctypes.sizeof(ctypes.c_void_p) == 8:
        ctypes.CDLL(None).syscall(ctypes.c_long(number), *map(ctypes.c_long, (*_THIS_THREAD, _IDLE)))
