from __future__ import annotations

import ctypes
import os

from model_manager.library.memory import HUGE, reserved


def test_it_begins_where_a_large_page_does_and_can_be_written_to_its_end() -> None:
    memory = reserved(HUGE + 4096)
    assert len(memory) == HUGE + 4096
    assert ctypes.addressof(ctypes.c_char.from_buffer(memory)) % HUGE == 0
    memory[-1] = 7
    assert memory[-1] == 7


def test_what_nobody_touches_costs_nothing() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    before = resident()
    memory = reserved(64 * HUGE)
    assert resident() - before < 16 * HUGE
    memory.release()
