from __future__ import annotations

from model_manager.facts.disk import Fingerprint
from model_manager.facts.identity import Digests
from model_manager.facts.known import Group, Known


def _known(inode: int, **more: object) -> Known:
    mark = Fingerprint(device=1, inode=inode, size=100, mtime_ns=0)
    return Known(content_id=1, file="/a", root="/", folder="vae", name="a", fingerprint=mark, **more)  # type: ignore[arg-type]


def test_links_to_one_file_take_its_bytes_once() -> None:
    group = Group(
        content_id=1, size=100, digests=Digests(sha256="a" * 64), locations=(_known(1), _known(1), _known(2), _known(3))
    )
    assert (group.copies, group.spare_bytes) == (3, 200)


def test_a_file_is_verified_by_whatever_evidence() -> None:
    assert not _known(1).verified
    assert _known(1, evidence="length").verified
    assert _known(1).size == 100
