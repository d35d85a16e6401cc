"""The way to the agent of this machine: HTTP over `<state>/control.sock`. Standard library only, so that commands start fast."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from model_manager.errors import AgentAway, BadSetting

SOCKET_NAME: Final = "control.sock"


class Channel(http.client.HTTPConnection):
    """An HTTP connection to a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._patience = timeout

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A blocking connect waits for a place in the agent's queue; with a timeout of Python's it would fail at once.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(self._patience))
        self.sock.connect(str(self._path))
        self.sock.settimeout(self._patience)


def _timeval(seconds: float) -> bytes:
    """A `struct timeval` of the C library."""
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))


def ask(
    socket_path: Path, method: str, path: str, body: object = None, timeout: float = 10.0
) -> tuple[int, dict[str, Any]]:
    """One question to the agent: the status and the JSON object of its answer. `timeout` in seconds, per read.

    Raises AgentAway when nobody answers, or what answers is no agent.
    """
    status, data = fetch(socket_path, method, path, body, timeout)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise AgentAway(socket=socket_path, why="the answer is not JSON") from None
    if not isinstance(content, dict):
        raise AgentAway(socket=socket_path, why="the answer is not a JSON object")
    return status, content


def fetch(socket_path: Path, method: str, path: str, body: object = None, timeout: float = 10.0) -> tuple[int, bytes]:
    """As `ask`, for answers that are no JSON (`/metrics`)."""
    data, headers = (None, {}) if body is None else (json.dumps(body), {"Content-Type": "application/json"})
    with closing(Channel(socket_path, timeout)) as channel, _translated(socket_path):
        channel.request(method, path, body=data, headers=headers)
        answer = channel.getresponse()
        return answer.status, answer.read()


def lines(socket_path: Path, path: str, timeout: float = 60.0) -> Iterator[str]:
    """The lines of an endless answer (`/events`) as they come; `timeout` = longest silence in seconds.

    Ends when the agent ends it. Raises AgentAway when it breaks, or was no 200 from the start.
    """
    with closing(Channel(socket_path, timeout)) as channel:
        with _translated(socket_path):
            channel.request("GET", path)
            answer = channel.getresponse()
        if answer.status != 200:
            raise AgentAway(socket=socket_path, why=f"it answered {answer.status} to {path}")
        while True:
            with _translated(socket_path):
                line = answer.readline()
            if not line:
                return
            yield line.decode(errors="replace").rstrip("\r\n")


@contextmanager
def _translated(socket_path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise AgentAway(socket=socket_path, why=_why(error)) from None


def _why(error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such socket"
        case ConnectionRefusedError():
            return "its process is gone"
        case PermissionError():
            return "this user may not use it; become the agent's user or join its group"
        case ConnectionResetError() | BrokenPipeError() | http.client.IncompleteRead():
            return "it hung up"
        case TimeoutError() | BlockingIOError():
            return "it did not answer in time"
        case http.client.HTTPException():
            return "the answer is not HTTP"
        case _:
            return str(error)


def state_directory(option: Path | None, environ: Mapping[str, str]) -> Path:
    """The agent's state directory by the rules of its settings, without loading them.

    Raises BadSetting when the settings file cannot be read.
    """
    if option is not None:
        return option.absolute()
    given = _settings_file(environ) | {name: value for name, value in environ.items() if value.strip()}
    if named := given.get("MODEL_MANAGER_STATE_DIR"):
        return Path(named).absolute()
    if workspace := given.get("WORKSPACE_PATH") or given.get("WORKSPACE_DIR"):
        return (Path(workspace) / ".model_manager").absolute()
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "model_manager"


def _settings_file(environ: Mapping[str, str]) -> dict[str, str]:
    path = environ.get("MODEL_MANAGER_SETTINGS")
    if not path:
        return {}
    try:
        content = tomllib.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise BadSetting(
            name="MODEL_MANAGER_SETTINGS", why=f"{path} cannot be read ({error})", fix="Write valid TOML there."
        ) from None
    return {name: value for name, value in content.items() if isinstance(value, str) and value.strip()}
