from __future__ import annotations

from model_manager.facts.disk import Fingerprint
from model_manager.facts.duplicate import Copy, Duplicate, Redundant
from model_manager.facts.shelf import ShelfPath


def copy(inode: int) -> Copy:
    calm = Fingerprint(device=1, inode=inode, size=5, mtime_ns=0)
    return Copy(file=f"/m/{inode}", root="/m", shelf=ShelfPath(folder="vae", name=str(inode)), fingerprint=calm)


def test_a_name_knows_its_file():
    assert copy(3).identity == (1, 3)


def test_the_sum_of_what_can_be_freed():
    redundant = tuple(Redundant(copies=(copy(n),), by=copy(1), how="reflink", why="", reclaimable=5) for n in (2, 3))
    assert Duplicate(digest="a", size=5, kept=copy(1), why="", redundant=redundant).reclaimable == 10
