from __future__ import annotations

import hashlib

from model_manager.facts.mirror import Mirror, Said, copy_of, departed, summed, term
from tests.bus.telling import entry


def test_a_term_is_what_the_page_says() -> None:
    line = b"/models/a.pt\x0042\x00" + b"ab" * 32 + b"\x001"
    assert term("/models/a.pt", 42, "ab" * 32, True) == int.from_bytes(hashlib.sha256(line).digest()[:16], "big")


def test_copies_of_two_machines_are_one_whatever_their_times() -> None:
    from dataclasses import replace

    one = entry("a.pt")
    assert copy_of(one) == copy_of(replace(one, mtime_ns=5, last_verified="yesterday"))
    assert copy_of(one).key != copy_of(replace(one, verified=False, evidence="")).key


def test_the_sum_does_not_know_an_order_and_wraps() -> None:
    copies = [copy_of(entry(f"{n}.pt")) for n in range(9)]
    assert summed(copies) == summed(reversed(copies)) < 2**128


def test_a_machine_that_left_holds_nothing_and_keeps_its_place() -> None:
    gone = departed("m1", (7, 3), "at")
    assert (gone.left, gone.position, gone.digest, gone.bytes) == (True, (7, 3), "0" * 32, 0)


def test_a_mirror_counts_its_bytes_and_tells_what_was_said() -> None:
    copies = {each.path: each for each in map(copy_of, (entry("a.pt", size=3), entry("b.pt", size=4)))}
    said = Said(host="h", version="1")
    mirror = Mirror(machine_id="m", instance="i", epoch=1, seq=2, entries=copies, sum=0, at="", said=said)
    assert (mirror.bytes, mirror.host, mirror.version, mirror.readiness, mirror.assignment) == (7, "h", "1", None, None)
