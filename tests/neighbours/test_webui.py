from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path

import pytest

from model_manager.errors import BadForeign, DiskUnavailable
from model_manager.facts.description import Findings
from model_manager.neighbours import webui
from tests.neighbours.writing import DISKCACHE, database, insert

SHA, TENSOR = "a1" * 32, "b2" * 32
MTIME = 1_700_000_000.25
NS = 1_700_000_000_250_000_000
CHECKPOINT = "/m/Stable-diffusion/sub/x.safetensors"
LORA = "/m/Lora/deep/y v2.safetensors"
KNOWN = {CHECKPOINT: NS, LORA: NS, "/m/Stable-diffusion/z.ckpt": NS}


def entry(digits: str | None = SHA, mtime: float = MTIME) -> dict[str, object]:
    return {"mtime": mtime, "sha256": digits}


def cache(tmp_path: Path, *, indent: int | None = 4, **sections: dict[str, object]) -> Findings:
    text = json.dumps({name.replace("_", "-"): body for name, body in sections.items()}, indent=indent)
    (tmp_path / "cache.json").write_text(text)
    return webui.read(str(tmp_path), KNOWN)


def claims(found: Findings) -> dict[str, list[str]]:
    return {lore.file: [str(claim.pin) for claim in lore.claims] for lore in found.lore}


def pickled(digits: str, mtime: float = MTIME) -> bytes:
    """As Python writes {"mtime": …, "sha256": …} with protocol 5."""
    text = digits.encode()
    body = b"}\x94(\x8c\x05mtime\x94G" + struct.pack(">d", mtime) + b"\x8c\x06sha256\x94\x8c" + bytes([len(text)]) + text + b"\x94u."  # fmt: skip
    return b"\x80\x05\x95" + struct.pack("<Q", len(body)) + body


def store(path: Path, *rows: tuple[object, bytes]) -> None:
    insert(
        database(path, DISKCACHE, wal=True),
        "Cache",
        *({"key": key, "raw": 1, "mode": 4, "value": value} for key, value in rows),
    )


@pytest.mark.parametrize("indent", [4, None])
def test_hashes_of_checkpoints_and_tensor_hashes_of_loras_are_found(tmp_path: Path, indent: int | None) -> None:
    found = cache(
        tmp_path, indent=indent,
        hashes={"checkpoint/sub/x.safetensors": entry(SHA.upper()), "checkpoint/unknown.ckpt": entry()},
        safetensors_metadata={"lora/y v2": {"mtime": MTIME, "value": {"ss_tag": {"a": 1}}}},
        hashes_addnet={"lora/y v2": entry(TENSOR)},
    )  # fmt: skip
    assert claims(found) == {CHECKPOINT: [f"sha256:{SHA}"], LORA: [f"tensor:{TENSOR}"]}
    assert {claim.who for lore in found.lore for claim in lore.claims} == {"a1111"}
    assert not found.odd


def test_titles_of_windows_and_escaped_ones_are_understood(tmp_path: Path) -> None:
    (tmp_path / "cache.json").write_text(json.dumps({"hashes": {'lora/é "b"': entry()}}))
    assert len(webui.read(str(tmp_path), {'/m/é "b".pt': NS}).lore) == 1
    assert claims(cache(tmp_path, hashes={"checkpoint/sub\\x.safetensors": entry()})) == {CHECKPOINT: [f"sha256:{SHA}"]}


def test_a_stale_entry_is_reported_and_left_out(tmp_path: Path) -> None:
    found = cache(tmp_path, hashes={"checkpoint/sub/x.safetensors": entry(mtime=MTIME - 0.01)})
    assert not found.lore
    assert "written since" in found.odd[0].why


@pytest.mark.parametrize("text", ["x.safetensors", "x", "sub/x.safetensors", CHECKPOINT])
def test_forges_hash_of_a_name_is_reported_and_left_out(tmp_path: Path, text: str) -> None:
    fake = hashlib.sha256(text.encode()).hexdigest()
    found = cache(tmp_path, hashes={"checkpoint/sub/x.safetensors": entry(fake)})
    assert not found.lore
    assert "Forge" in found.odd[0].why


def test_the_hash_of_nothing_is_left_out(tmp_path: Path) -> None:
    found = cache(tmp_path, hashes={"checkpoint/z.ckpt": entry(hashlib.sha256().hexdigest()), "lora/y v2": entry(None)})
    assert not found.lore
    assert len(found.odd) == 1


def test_a_name_that_two_files_have_is_told_apart_by_its_time_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "cache.json").write_text(json.dumps({"hashes": {"lora/a": entry()}}))
    twice = {"/m/Lora/a.pt": NS, "/m/Lora/b/a.pt": NS + 10**9}
    assert list(claims(webui.read(str(tmp_path), twice))) == ["/m/Lora/a.pt"]
    found = webui.read(str(tmp_path), dict.fromkeys(twice, NS))
    assert not found.lore
    assert "any of 2 files" in found.odd[0].why


def test_a_file_whose_name_only_ends_so_is_not_meant(tmp_path: Path) -> None:
    assert (
        cache(tmp_path, hashes={"checkpoint/b/x.safetensors": entry(), "checkpoint/": entry(), "x": entry()})
        == Findings()
    )


@pytest.mark.parametrize(
    "size", [0, 1, 8100, webui.OVERLAP, webui.WINDOW - 120, webui.WINDOW - 60, webui.WINDOW, 3 * webui.WINDOW]
)
def test_entries_are_found_wherever_the_windows_end(tmp_path: Path, size: int) -> None:
    found = cache(
        tmp_path, indent=None,
        safetensors_metadata={"lora/fill": {"mtime": 1.5, "value": {"text": "\\\"hashes\\\"x" * (size // 11)}}},
        hashes={"checkpoint/sub/x.safetensors": entry()}, hashes_addnet={"lora/y v2": entry(TENSOR)},
    )  # fmt: skip
    assert claims(found) == {CHECKPOINT: [f"sha256:{SHA}"], LORA: [f"tensor:{TENSOR}"]}


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 5000, b'"' * 3_000_000, b'{"hashes": {"a": {"mtime": ' + b"1" * 3_000_000, b"[" * 3_000_000, b"\\" * 2_000_000])  # fmt: skip
def test_k7_a_cache_of_any_bytes_is_read_through(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache.json").write_bytes(content)
    assert webui.read(str(tmp_path), KNOWN) == Findings()


def test_the_newer_directories_are_read_without_unpickling(tmp_path: Path) -> None:
    store(tmp_path / "cache" / "hashes" / "cache.db", ("checkpoint/sub/x.safetensors", pickled(SHA)))
    store(tmp_path / "cache" / "hashes-addnet" / "cache.db", ("lora/y v2", pickled(TENSOR)))
    found = webui.read(str(tmp_path), KNOWN)
    assert claims(found) == {CHECKPOINT: [f"sha256:{SHA}"], LORA: [f"tensor:{TENSOR}"]}
    assert not found.odd


def test_k6_a_stored_value_that_is_no_plain_record_is_an_oddity(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "hashes" / "cache.db"
    command = b"\x80\x05\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x10touch /tmp/pwned\x94\x85\x94R\x94."
    store(path, ("checkpoint/z.ckpt", command), ("checkpoint/a", b""), ("checkpoint/sub/x.safetensors", pickled(SHA)))
    insert(path, "Cache", {"key": b"blob", "raw": 0, "mode": 4, "value": pickled(SHA)})
    found = webui.read(str(tmp_path), KNOWN)
    assert list(claims(found)) == [CHECKPOINT]
    assert len(found.odd) == 2
    assert not os.path.exists("/tmp/pwned")


def test_both_forms_together_are_read_and_the_first_counts(tmp_path: Path) -> None:
    store(tmp_path / "cache" / "hashes" / "cache.db", ("checkpoint/sub/x.safetensors", pickled("c3" * 32)))
    assert claims(cache(tmp_path, hashes={"checkpoint/sub/x.safetensors": entry()})) == {CHECKPOINT: [f"sha256:{SHA}"]}


def test_without_a_cache_nothing_is_known_and_one_that_is_none_is_said(tmp_path: Path) -> None:
    assert webui.read(str(tmp_path), KNOWN) == Findings()
    (tmp_path / "cache.json").mkdir()
    with pytest.raises(BadForeign):
        webui.read(str(tmp_path), KNOWN)
    (tmp_path / "cache.json").rmdir()
    (tmp_path / "cache.json").symlink_to("nowhere")
    with pytest.raises(DiskUnavailable):
        webui.read(str(tmp_path), KNOWN)
