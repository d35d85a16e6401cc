from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from tests.cli.workflow.conftest import Machine
from tests.library.carrying import png, text


def test_every_reference_is_shown_with_its_node_and_how_sure_it_is(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}), ("Strange Node", ["x"], {}))
    code, out, err = machine.run("workflow", "show", str(flow))
    assert code == 0
    assert "style.safetensors" in out
    assert "certain" in out
    assert "custom node: Strange Node" in err


def test_json_has_every_field(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["style.safetensors", 1, 1], {}))
    found = machine.json("workflow", "show", str(flow))
    assert (found["form"], found["nodes"], found["references"][0]["folder"]) == ("ui", 1, "loras")


def test_a_picture_shows_what_it_carries_and_one_that_carries_nothing_says_so(machine: Machine) -> None:
    picture = machine.here / "a.png"
    picture.write_bytes(png(text("prompt", '{"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "a.pt"}}}')))
    assert machine.json("workflow", "show", str(picture))["form"] == "api"
    picture.write_bytes(png())
    code, _, err = machine.run("workflow", "show", str(picture))
    assert (code, "carries neither" in err) == (65, True)


def test_k12_names_with_control_characters_are_shown_escaped(machine: Machine) -> None:
    flow = machine.workflow(("LoraLoader", ["evil\x1b[31m.safetensors", 1, 1], {}))
    _, out, err = machine.run("workflow", "show", str(flow))
    assert "\x1b" not in out + err


def test_what_is_no_workflow_says_so(machine: Machine) -> None:
    file = machine.here / "x.json"
    file.write_text("[1, 2")
    code, _, err = machine.run("workflow", "show", str(file))
    assert (code, "Save it again in ComfyUI" in err) == (65, True)


def test_names_stay_whole_in_a_narrow_terminal(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "a-name-that-is-longer-than-forty-columns-of-a-terminal.safetensors"
    flow = machine.workflow(("LoraLoader", [name, 1, 1], {}))
    assert f"loras/{name}" in machine.run("workflow", "show", str(flow))[1]


def test_a_path_as_long_as_linux_takes_is_shown(machine: Machine) -> None:
    name = "/".join(["directory"] * 60) + "/a.safetensors"
    flow = machine.workflow(("LoraLoader", [name, 1, 1], {}))
    assert machine.json("workflow", "show", str(flow))["references"][0]["names"] == [name]


class Answering(BaseHTTPRequestHandler):
    """A ComfyUI with one node that no table knows."""

    ANSWERS: ClassVar = {
        "/object_info": {"Odd Box": {"input": {"required": {"which": [["odd.bin", "b.bin"], {}]}}}},
        "/models": ["loras"],
        "/models/loras": ["odd.bin", "b.bin"],
    }

    def do_GET(self) -> None:
        body = json.dumps(self.ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def comfyui() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("command", ["show", "check"])
def test_a_running_comfyui_knows_nodes_that_no_table_knows(machine: Machine, comfyui: str, command: str) -> None:
    flow = machine.workflow(("Odd Box", ["odd.bin"], {}))
    assert "loras/odd.bin" not in machine.run("workflow", command, str(flow))[1]
    _, out, _ = machine.run("workflow", command, str(flow), "--live", comfyui)
    assert "loras/odd.bin" in out


def test_a_comfyui_that_is_not_there_is_named(machine: Machine) -> None:
    flow = machine.workflow(("Odd Box", ["odd.bin"], {}))
    code, _, err = machine.run("workflow", "show", str(flow), "--live", "http://127.0.0.1:9")
    assert (code, "127.0.0.1:9" in err, "--live" in err) == (75, True, True)
