from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable

import pytest

from model_manager.library.contents import courtesy
from model_manager.library.contents.courtesy import NICEST, give_way


def on_a_thread(work: Callable[[], object]) -> object:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    assert found, "the thread failed"
    return found[0]


def nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def io_class() -> int:
    """IOPRIO_CLASS_* of this thread, by ioprio_get."""
    number = courtesy._IOPRIO_SET[courtesy.platform.machine()] + 1
    return ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.c_long(1), ctypes.c_long(0)) >> 13


def test_a_thread_that_gives_way_is_the_last_for_processor_and_disk_and_so_is_what_it_starts() -> None:
    def work() -> object:
        give_way()
        return nice(), io_class(), on_a_thread(nice), on_a_thread(io_class)

    assert on_a_thread(work) == (NICEST, 3, NICEST, 3)


def test_nobody_else_gives_way() -> None:
    before = nice(), io_class()
    on_a_thread(give_way)
    assert (nice(), io_class()) == before


@pytest.mark.parametrize("machine", ["i686", "something new"])
def test_a_machine_whose_call_is_not_known_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    monkeypatch.setattr(courtesy.platform, "machine", lambda: machine)
    monkeypatch.setattr(courtesy.ctypes, "CDLL", lambda *_: pytest.fail("it called something"))
    on_a_thread(give_way)


def test_what_is_not_permitted_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(courtesy.os, "setpriority", refused)
    assert on_a_thread(lambda: (give_way(), io_class())[1]) == 3
