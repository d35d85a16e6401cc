"""The agent and the waiting commands under a real PM2, started as ecosystem.config.cjs starts them."""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from model_manager.cli.channel import ask
from model_manager.errors import AgentAway
from tests.house.tree import ROOT
from tests.stories.offering import offered
from tests.stories.supervisor import PATIENCE, Pm2, eventually

pytestmark = pytest.mark.needs("pm2")

MANAGER = str(Path(sys.executable).parent / "model-manager")
AGENT = "model-manager"


class Machine:
    """One machine: a PM2, a state directory, and the agent as others see it."""

    def __init__(self, pm2: Pm2, home: Path, offering: dict[str, str]) -> None:
        self.pm2 = pm2
        self.home = home
        self.state = home / "state"
        self.env = {
            "MODEL_MANAGER_STATE_DIR": str(self.state),
            "MODEL_MANAGER_STORE": str(home / "models"),
            "LOG_DIR": str(home / "logs"),
            "SECRETS_DIR": str(home / "secrets"),
            "MODEL_MANAGER_DISK_FLOOR": "1000000",
            "WORKFLOW_IDS": "portrait",
            **offering,
        }

    def apps(self, **more: str) -> dict[str, dict[str, Any]]:
        """The apps of ecosystem.config.cjs by name, as this environment makes them."""
        script = "process.stdout.write(JSON.stringify(require(process.argv[1]).apps))"
        text = subprocess.run(
            ["node", "-e", script, str(ROOT / "ecosystem.config.cjs")],
            env={**self.pm2.env, **self.env, **more}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        apps = {app["name"]: app for app in json.loads(text)}
        return {name: {**app, "script": MANAGER, "cwd": str(self.home)} for name, app in apps.items()}

    def start(self, *more: dict[str, Any], **agent: Any) -> None:
        self.pm2.start({**self.apps()[AGENT], **agent}, *more, env=self.env)

    def agents(self) -> list[psutil.Process]:
        return self.pm2.processes("model-manager", "run")

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """0 when nobody answers."""
        try:
            return ask(self.state / "control.sock", "GET", path, timeout=5)
        except AgentAway:
            return 0, {}

    def is_ready(self) -> bool:
        return self.ask("/ready")[0] == 200

    def is_downloading(self) -> bool:
        status, answer = self.ask("/status")
        return status == 200 and bool(answer["transfers"])

    def one_agent(self) -> psutil.Process | None:
        """The agent, when there is exactly one and PM2 knows it."""
        agents = self.agents()
        return agents[0] if len(agents) == 1 and agents[0].pid == self.pm2.app(AGENT)["pid"] else None

    def settled(self) -> psutil.Process:
        return eventually(self.one_agent, "exactly one agent runs, and PM2 knows it")

    def a_required_model(self) -> Path:
        models: list[dict[str, Any]] = self.ask("/status")[1]["models"]
        model = next(model for model in models if model["required"])
        return self.home / "models" / str(model["folder"]) / str(model["name"])

    def forget_models(self) -> None:
        shutil.rmtree(self.home / "models", ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)


@contextmanager
def started_up(pm2_command: str, offering: dict[str, str]) -> Iterator[Machine]:
    # A socket's path has 107 bytes; the directory of a test may need more than its share of them.
    with tempfile.TemporaryDirectory(prefix="mm-") as directory:
        pm2 = Pm2(pm2_command, Path(directory))
        try:
            yield Machine(pm2, Path(directory), offering)
        finally:
            pm2.end()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with offered(tmp_path_factory.mktemp("quick")) as offering:
        yield offering


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with offered(tmp_path_factory.mktemp("slow"), rate=1_000_000) as offering:
        yield offering


@pytest.fixture
def machine(pm2_command: str, quick: dict[str, str]) -> Iterator[Machine]:
    with started_up(pm2_command, quick) as machine:
        yield machine


@pytest.fixture
def slow_machine(pm2_command: str, slow: dict[str, str]) -> Iterator[Machine]:
    """Its downloads take seconds, so that what happens meanwhile can be seen."""
    with started_up(pm2_command, slow) as machine:
        yield machine


def bystander(home: Path) -> dict[str, Any]:
    return {
        "name": "bystander",
        "script": shutil.which("sleep"),
        "args": ["1000"],
        "interpreter": "none",
        "cwd": str(home),
    }


def holds_to_its_word(machine: Machine, reached: Callable[[], bool], again: Callable[[], None]) -> None:
    """restart, stop and delete, each when `reached`; `again` makes it reachable once more."""

    def there() -> psutil.Process:
        eventually(reached, "the phase is reached")
        return machine.settled()

    machine.start()
    first = there()
    machine.pm2("restart", AGENT)
    assert not first.is_running()
    second = there()

    machine.pm2("stop", AGENT)
    assert not second.is_running()
    assert machine.agents() == []
    assert machine.pm2.status(AGENT) == "stopped"
    assert not (machine.state / "ready.json").exists()

    again()
    machine.pm2("start", AGENT)
    third = there()
    machine.pm2("delete", AGENT)
    assert not third.is_running()
    assert machine.pm2.processes("model-manager") == []
    assert "SIGKILL" not in machine.pm2.log


def test_j1_d8_pm2_is_obeyed_while_launching(machine: Machine) -> None:
    holds_to_its_word(machine, lambda: bool(machine.agents()), lambda: None)


def test_j1_d8_pm2_is_obeyed_while_downloading(slow_machine: Machine) -> None:
    holds_to_its_word(slow_machine, slow_machine.is_downloading, slow_machine.forget_models)


def test_j1_d8_pm2_is_obeyed_when_ready(machine: Machine) -> None:
    holds_to_its_word(machine, machine.is_ready, lambda: None)


def test_j1_reload_leaves_one_agent_that_is_ready_again(machine: Machine) -> None:
    machine.start()
    eventually(machine.is_ready, "the agent is ready")
    first = machine.settled()
    machine.pm2("reload", AGENT)
    assert machine.settled().pid != first.pid
    eventually(machine.is_ready, "the agent is ready again")


def test_j2_a_killed_daemon_and_resurrect_leave_exactly_one_agent(machine: Machine) -> None:
    machine.start()
    eventually(machine.is_ready, "the agent is ready")
    machine.pm2("save")
    machine.pm2.kill_daemon()
    machine.pm2("resurrect")
    agent = machine.settled()
    eventually(machine.is_ready, "the resurrected machine is ready")
    assert machine.settled().pid == agent.pid
    assert machine.pm2.app(AGENT)["pid"] == agent.pid


def test_j2_a_command_that_waits_is_not_started_twice(machine: Machine) -> None:
    machine.state.mkdir()
    machine.pm2.start(waiting(machine, "comfyui"), env=machine.env)
    waits = eventually(lambda: machine.pm2.processes("wait"), "comfyui waits")
    machine.pm2("save")
    machine.pm2.kill_daemon()
    eventually(lambda: not waits[0].is_running(), "who waited for the dead daemon has left")
    machine.pm2("resurrect")
    eventually(lambda: len(machine.pm2.processes("wait")) == 1, "comfyui waits again")
    assert not started(machine, "comfyui")


def test_i1_a_second_agent_leaves_the_first_one_alone(machine: Machine) -> None:
    machine.start()
    eventually(machine.is_ready, "the agent is ready")
    first = machine.settled()
    second = subprocess.run(
        [MANAGER, "run"],
        env={**machine.pm2.env, **machine.env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert second.returncode == 75, second.stderr
    assert str(first.pid) in second.stdout + second.stderr
    assert machine.is_ready()
    assert machine.settled().pid == first.pid


def test_j3_the_daemon_and_its_other_apps_never_notice_the_agent(machine: Machine) -> None:
    machine.start(bystander(machine.home))
    daemon = machine.pm2.daemon
    eventually(machine.is_ready, "the agent is ready")
    machine.pm2("restart", AGENT)
    eventually(machine.is_ready, "the agent is ready again")
    assert machine.pm2.daemon == daemon
    assert psutil.pid_exists(daemon)
    assert machine.pm2.restarts("bystander") == 0


@pytest.mark.parametrize("channel", ["listened to", "closed", "absent"])
def test_j3_nothing_is_ever_written_to_pm2s_channel(machine: Machine, channel: str) -> None:
    ours, theirs = socket.socketpair()
    env = {**machine.pm2.env, **machine.env}
    if channel != "absent":
        env |= {"NODE_CHANNEL_FD": str(theirs.fileno()), "NODE_CHANNEL_SERIALIZATION_MODE": "json"}
    passed = (theirs.fileno(),) if channel == "listened to" else ()
    with (
        ours,
        subprocess.Popen(
            [MANAGER, "run"], env=env, pass_fds=passed, stdout=subprocess.DEVNULL, cwd=machine.home
        ) as agent,
    ):
        theirs.close()
        eventually(machine.is_ready, "the agent is ready")
        agent.terminate()
        assert agent.wait(PATIENCE) in (0, 143)
        ours.settimeout(PATIENCE)
        assert ours.recv(1) == b""


def test_j4_a_crash_loop_slows_down(machine: Machine) -> None:
    crashes = machine.home / "crashes"
    crash = {"script": shutil.which("sh"), "args": ["-c", f"date +%s%N >>{crashes}; exit 1"]}
    machine.start(bystander(machine.home), **crash)
    eventually(lambda: crashes.exists() and len(crashes.read_text().split()) >= 5, "it crashed five times")
    times = [int(line) / 1e9 for line in crashes.read_text().split()]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[3] > gaps[0]
    assert not machine.is_ready()
    assert machine.pm2.restarts("bystander") == 0


def test_j5_g5_a_configuration_error_stops_and_is_not_restarted(machine: Machine) -> None:
    machine.env["MODEL_DOWNLOAD_CONCURRENCY"] = "0"
    machine.start()
    log = machine.home / "logs" / "model-manager-error.log"
    eventually(lambda: log.exists() and "MODEL_DOWNLOAD_CONCURRENCY" in log.read_text(), "the log names the variable")
    eventually(lambda: not machine.agents(), "the agent has exited")
    # Longer than the first pauses between restarts, so that one that was to come has come.
    time.sleep(2.5)
    assert machine.agents() == []
    assert log.read_text().count("MODEL_DOWNLOAD_CONCURRENCY") == 1
    assert machine.pm2.restarts(AGENT) == 0


def test_j6_a_socket_that_is_abused_still_answers(machine: Machine) -> None:
    machine.start()
    eventually(machine.is_ready, "the agent is ready")
    agent = machine.settled()
    before = agent.num_fds()
    with ExitStack() as clients:
        for said in [
            b"",
            b"GET /ready HTT",
            b"\xff\x00\r\n\r\n",
            b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ] * 50:
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(machine.state / "control.sock"))
            client.sendall(said)
        eventually(machine.is_ready, "it answers in spite of 200 who do not listen")
    eventually(lambda: agent.num_fds() <= before + 5, "their connections are closed")
    assert machine.settled().pid == agent.pid


def test_j7_comfyui_starts_only_behind_the_open_gate(machine: Machine) -> None:
    comfyui = waiting(machine, "comfyui")
    machine.start(comfyui)
    eventually(lambda: started(machine, "comfyui"), "comfyui is started")
    assert json.loads((machine.state / "ready.json").read_text())["ready"] is True
    assert machine.pm2.processes("wait") == []
    assert machine.pm2.app("comfyui")["pid"] == machine.pm2.processes("sleep")[0].pid


def test_j7_h5_a_vanished_model_closes_the_gate_for_those_who_come_later(slow_machine: Machine) -> None:
    machine = slow_machine
    machine.start()
    eventually(machine.is_ready, "the agent is ready")
    model = machine.a_required_model()
    model.unlink()
    eventually(lambda: not machine.is_ready(), "the gate is closed")
    machine.pm2.start(waiting(machine, "worker", f"test -f {model}"), env=machine.env)
    eventually(lambda: started(machine, "worker"), "the worker is started, and saw the model when it was")
    assert machine.is_ready()


def test_j8_a_full_log_disk_and_a_removed_log_change_nothing(machine: Machine) -> None:
    machine.start(out_file="/dev/full", error_file="/dev/full")
    eventually(machine.is_ready, "the agent is ready")
    agent = machine.settled()
    machine.pm2("reloadLogs")
    assert machine.is_ready()
    assert machine.settled().pid == agent.pid
    assert machine.pm2.restarts(AGENT) == 0


def test_j8_a_removed_log_changes_nothing(machine: Machine) -> None:
    machine.start()
    eventually(lambda: (machine.home / "logs" / "model-manager-out.log").exists(), "there is a log")
    shutil.rmtree(machine.home / "logs")
    eventually(machine.is_ready, "the agent is ready")
    assert machine.pm2.restarts(AGENT) == 0


def test_g6_restart_with_update_env_adopts_a_new_assignment(machine: Machine) -> None:
    def assigned(*workflows: str) -> bool:
        assignment: dict[str, Any] = machine.ask("/status")[1].get("assignment", {})
        return bool(assignment.get("workflows") == list(workflows))

    machine.start()
    eventually(lambda: assigned("portrait"), "the first assignment is understood")
    machine.pm2("restart", AGENT, "--update-env", env={"WORKFLOW_IDS": "portrait,upscale"})
    eventually(lambda: assigned("portrait", "upscale"), "the new assignment is understood")


def test_g6_what_pm2_puts_into_the_environment_has_no_effect(machine: Machine) -> None:
    traps = {"machine_id": "trap", "workflow_ids": "trap", "redis_url": "trap", "models": "trap", "http_port": "x"}
    machine.start(bystander(machine.home), env={**machine.apps()[AGENT]["env"], **traps, "MACHINE_ID": "machine-7"})
    eventually(machine.is_ready, "the agent is ready")
    polluted = machine.settled().environ()
    assert {"name", "status", "pm_id", *traps} <= polluted.keys()
    status = machine.ask("/status")[1]
    assert status["machine_id"] == "machine-7"
    assert "trap" not in json.dumps(status)


def test_tokens_are_named_by_file_and_never_by_value(machine: Machine) -> None:
    secrets = machine.home / "secrets"
    secrets.mkdir()
    (secrets / "HF_TOKEN").write_text("hf_CANARY")
    apps = machine.apps()
    assert apps[AGENT]["env"]["HF_TOKEN_FILE"] == str(secrets / "HF_TOKEN")
    assert "CANARY" not in json.dumps(apps)


def test_the_agent_is_first_and_the_others_wait_for_it(machine: Machine) -> None:
    apps = machine.apps(WORKER_COMMAND="node worker.js", WORKER_WORKFLOW="portrait")
    assert list(apps) == [AGENT, "comfyui", "worker"]
    assert apps[AGENT]["stop_exit_codes"] == [78]
    assert apps["comfyui"]["args"][:4] == ["wait", "--state-dir", str(machine.state), "--"]
    assert str(machine.state / "extra_model_paths.yaml") in apps["comfyui"]["args"]
    assert apps["worker"]["args"][3:] == ["--workflow", "portrait", "--", "sh", "-c", "exec node worker.js"]


def waiting(machine: Machine, name: str, condition: str = "true") -> dict[str, Any]:
    """An app behind the gate as ecosystem.config.cjs puts it there; its command leaves a mark if `condition` holds then."""
    command = ["sh", "-c", f"{condition} && touch {machine.home / name}; exec sleep 1000"]
    app = machine.apps(WORKER_COMMAND="x")[name]
    return {**app, "args": [*app["args"][: app["args"].index("--") + 1], *command]}


def started(machine: Machine, name: str) -> bool:
    return (machine.home / name).exists()
