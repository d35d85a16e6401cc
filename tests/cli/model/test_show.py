from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import Call
from tests.cli.model.conftest import Library, put
from tests.stories.machine import safetensors, sha256

Pieces = Callable[..., Any]


def test_everything_that_is_known_is_said_with_who_says_it(ask: Call, library: Library) -> None:
    code, out, _ = ask("show", "style_5")
    assert code == 0
    assert sha256(safetensors(1005, 5)) in out
    assert f"{library.nas}/loras/style_5.safetensors (verified " in out
    assert "pixel art, 8bit (civitai)" in out
    assert "https://civitai.com/api/download/models/55" in out


def test_a_hash_is_whole_on_its_line_however_narrow_the_terminal(ask: Call, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert sha256(safetensors(1005, 5)) in ask("show", "style_5")[1]


def test_json_says_the_believed_word_and_every_other(pieces: Pieces) -> None:
    found = pieces("show", "style_5")
    assert found["described"]["civitai_model_base"] == {"value": "SDXL 1.0", "teller": "civitai"}
    assert (found["metadata_status"], found["metadata_source"]) == ("complete", "civitai")
    assert {told["teller"] for told in found["told"]} == {"civitai"}
    assert found["locations"][0]["name"] == "style_5.safetensors"


def test_a_content_is_shown_by_its_number(pieces: Pieces) -> None:
    number = pieces("find", "style_4")[0]["content_id"]
    assert pieces("show", str(number))["locations"][0]["name"] == "style_4.safetensors"


def test_the_same_bytes_under_two_names_are_one_model(pieces: Pieces) -> None:
    assert len(pieces("show", "style_0")["locations"]) == 2


def test_a_model_of_several_files_shows_its_parts(ask: Call, pieces: Pieces) -> None:
    code, out, _ = ask("show", "diffusers/painter")
    assert code == 0
    assert "in 2 files" in out
    assert "diffusers/painter/unet/diffusion_pytorch_model.safetensors" in out
    assert len(pieces("show", "painter")["parts"]) == 2


def test_a_pickle_never_looks_safe_though_it_is_verified(own: Path, call: Call) -> None:
    put(own / "checkpoints" / "old.ckpt", b"\x80\x02}q\x00." * 50)
    call("model", "index", "sync")
    out = call("model", "index", "show", "old.ckpt")[1]
    assert "(verified " in out
    assert "loading it can run code" in out
    assert "verified, pickle" in call("model", "index", "list")[1]
    assert "1 are pickles" in call("model", "index", "status")[1]
    listed = json.loads(call("model", "index", "list", "--json")[1])
    assert [each["name"] for each in listed if each["runs_code"]] == ["old.ckpt"]


def test_k6_why_a_file_is_no_model_is_said_with_what_to_do(ask: Call) -> None:
    out = ask("show", "broken")[1]
    assert "(odd: its first bytes are unknown, not safetensors; fetch it again, or remove it)" in out


def test_a_file_that_went_away_since_is_shown_without_a_reason(own: Path, call: Call) -> None:
    put(own / "vae" / "page.safetensors", b"<html>" * 50)
    call("model", "index", "sync")
    assert "it is a web page" in call("model", "index", "show", "page")[1]
    (own / "vae" / "page.safetensors").unlink()
    code, out, _ = call("model", "index", "show", "page")
    assert code == 0
    assert "odd; why cannot be said now: " in out
