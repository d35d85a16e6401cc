from __future__ import annotations

from dataclasses import replace

from model_manager.decisions.scrubbing import due, rounds
from model_manager.facts.disk import Fingerprint, Held
from model_manager.facts.identity import Digests
from model_manager.facts.shelf import ShelfPath


def held(name: str, verified_at: str, *, device: int = 1) -> Held:
    return Held(
        file=f"/m/loras/{name}",
        root="/m",
        shelf=ShelfPath(folder="loras", name=name),
        fingerprint=Fingerprint(device=device, inode=1, size=1, mtime_ns=1),
        digests=Digests(sha256="a" * 64),
        evidence="content",
        verified_at=verified_at,
    )


OLD, OLDER, NEW = (held(f"{year}.safetensors", f"{year}-01-01T00:00:00.000Z") for year in ("2021", "2020", "2026"))


def test_what_was_seen_longest_ago_is_read_first_and_what_was_seen_of_late_not_at_all():
    assert due([OLD, NEW, OLDER], "2025-01-01T00:00:00.000Z") == [OLDER, OLD]


def test_what_nobody_read_or_judged_right_is_the_work_of_others():
    assert due([replace(OLD, digests=None), replace(OLD, evidence=None)], "2025") == []


def test_devices_are_read_beside_each_other():
    other = held("x.safetensors", "2021", device=2)
    assert list(rounds([OLD, OLDER, other])) == [[OLD, other], [OLDER]]
