from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from model_manager.cli.channel import ask, fetch, lines, state_directory
from model_manager.errors import AgentAway, BadSetting
from model_manager.settings import load
from tests.cli.gate import gate_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


def test_a_question_brings_status_and_json(path: Path) -> None:
    with gate_at(path):
        status, answer = ask(path, "GET", "/ready")
    assert status == 503
    assert answer["reasons"] == ["checkpoints/a.safetensors is missing"]


def test_a_body_arrives_as_json(path: Path) -> None:
    with gate_at(path) as gate:
        gate.answers["/reload"] = (200, {"adopted": True})
        assert ask(path, "POST", "/reload", {"mode": "add"}) == (200, {"adopted": True})
        assert gate.bodies == [{"mode": "add"}]


def test_text_and_endless_answers_can_be_read(path: Path) -> None:
    with gate_at(path) as gate:
        gate.answers["/metrics"] = (200, b"models 3\nready 1\n")
        assert fetch(path, "GET", "/metrics") == (200, b"models 3\nready 1\n")
        assert list(lines(path, "/metrics")) == ["models 3", "ready 1"]


def test_a_stream_that_is_refused_is_no_empty_stream(path: Path) -> None:
    with gate_at(path), pytest.raises(AgentAway, match="404"):
        list(lines(path, "/events"))


def test_no_socket_says_how_to_start_the_agent(path: Path) -> None:
    with pytest.raises(AgentAway, match=r"no such socket.*model-manager run.*pm2 start"):
        ask(path, "GET", "/ready")


def test_d9_a_socket_that_a_dead_agent_left_is_named_as_such(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(AgentAway, match="its process is gone"):
        ask(path, "GET", "/ready")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"garbage\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope", "not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "not a JSON object"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200000, "not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{}", "hung up"),
        (b"", "hung up"),
    ],
)
def test_j6_an_answer_that_is_none_is_told_as_such(path: Path, said: bytes, why: str) -> None:
    with one_answer(path, said), pytest.raises(AgentAway, match=why):
        ask(path, "GET", "/ready")


def test_j6_an_agent_that_never_answers_is_left(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen()
        with pytest.raises(AgentAway, match="did not answer in time"):
            ask(path, "GET", "/ready", timeout=0.05)


def test_j6_an_agent_whose_queue_is_full_is_waited_for(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy, ExitStack() as others:
        busy.bind(str(path))
        busy.listen(0)
        others.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        with pytest.raises(AgentAway, match="did not answer in time"):
            ask(path, "GET", "/ready", timeout=0.05)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, path, "GET", "/ready", timeout=30)
            for said in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"):
                others.enter_context(busy.accept()[0]).sendall(said)
            assert asked.result() == (200, {})


def test_a_path_that_is_too_long_for_a_socket_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(AgentAway, match="too long"):
        ask(tmp_path / ("d" * 120) / "control.sock", "GET", "/ready")


@pytest.mark.parametrize(
    "environ",
    [
        {"MODEL_MANAGER_STATE_DIR": "/state"},
        {"WORKSPACE_PATH": "/workspace"},
        {"WORKSPACE_DIR": "/workspace"},
        {"WORKSPACE_PATH": " ", "WORKSPACE_DIR": "/workspace"},
        {"MODEL_MANAGER_STATE_DIR": "relative", "WORKSPACE_PATH": "/workspace"},
        {"workspace_path": "/elsewhere", "name": "model-manager"},
        {},
    ],
)
def test_the_state_directory_is_the_one_of_the_agents_settings(environ: dict[str, str]) -> None:
    assert state_directory(None, environ) == load(environ).state


def test_the_state_directory_of_a_settings_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('MODEL_MANAGER_STATE_DIR = "/state"\nMODEL_DOWNLOAD_CONCURRENCY = 2\n')
    environ = {"MODEL_MANAGER_SETTINGS": str(file)}
    assert state_directory(None, environ) == load(environ).state == Path("/state")


def test_g3_a_settings_file_that_cannot_be_read_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="MODEL_MANAGER_SETTINGS"):
        state_directory(None, {"MODEL_MANAGER_SETTINGS": str(tmp_path / "none.toml")})


def test_the_option_wins(tmp_path: Path) -> None:
    assert state_directory(tmp_path, {"MODEL_MANAGER_STATE_DIR": "/state"}) == tmp_path


class one_answer:
    """A server that says one thing to whoever comes, and hangs up."""

    def __init__(self, path: Path, said: bytes) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._said = said
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(self._said)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()
