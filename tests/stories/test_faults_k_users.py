"""K11: not root. The right error, files that ComfyUI's user can read, and nothing that is open to everybody."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stories.machine import Machine, catalog, record, safetensors, sha256, workflow
from tests.stories.origin import FaultyOrigin

ONE, TWO = safetensors(60_000, 1), safetensors(70_000, 2)
NOBODY = 65_534
DROP = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
OPEN = """mount --bind "$1" /mnt && mount -t tmpfs -o mode=755 none "$2" && mkdir -p "$1" && mount --move /mnt "$1" && shift 2 && exec "$@\""""

pytestmark = pytest.mark.needs("root", "tmpfs", "setpriv")


def as_nobody() -> tuple[str, ...]:
    """A command that runs what follows as nobody. A Python below a home that is closed to others is shown to it alone."""
    python = Path(sys.base_prefix).resolve()
    closed = [above for above in reversed(python.parents) if not above.stat().st_mode & stat.S_IXOTH]
    return ("unshare", "-m", "sh", "-c", OPEN, "sh", str(python), str(closed[0]), *DROP) if closed else DROP


def shop(origin: FaultyOrigin) -> dict[str, object]:
    return {
        "models": [
            record("one", origin.put("one.safetensors", ONE), "vae/deep/one.safetensors", ONE),
            record("two", origin.put("two.safetensors", TWO), "vae/two.safetensors", TWO),
        ],
        "workflows": [workflow("flux", "one"), workflow("style", "two")],
    }


def lent(machine: Machine) -> None:
    """The machine's directory belongs to nobody; those above it may be passed through."""
    machine.directory.mkdir(parents=True)
    machine.directory.parent.chmod(0o755)
    os.chown(machine.directory, NOBODY, NOBODY)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", ["000", "077", "027"])
async def test_k11_modes_are_right_under_any_umask(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine], umask: str
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        lent(machine)
        machine.start(*as_nobody(), "sh", "-c", f'umask {umask}; exec "$@"', "sh")
        await machine.until_ready()
        model = machine.store / "vae/deep/one.safetensors"
        assert (mode(model), model.stat().st_uid) == (0o644, NOBODY)
        assert {mode(machine.store / "vae"), mode(machine.store / "vae/deep")} == {0o755}
        assert mode(machine.socket) == 0o660
        assert mode(machine.state) & 0o027 == 0
        executable = [path for path in machine.store.rglob("*") if path.is_file() and mode(path) & 0o7111]
        assert executable == []
        open_to_all = [path for path in (machine.store, *machine.store.rglob("*")) if mode(path) & 0o002]
        assert [path for path in open_to_all if path != machine.store] == []


async def test_k11_a_store_that_may_not_be_written_is_said_and_left_alone(
    home: Path, machine_of: Callable[..., Machine]
) -> None:
    machine = machine_of("http://127.0.0.1:9", MODEL_MANAGER_STORE=str(home / "theirs"))
    lent(machine)
    (home / "theirs").mkdir(mode=0o755)
    machine.start(*as_nobody())
    assert await machine.exited(20) == 78, machine.log()
    assert str(home / "theirs") in machine.log()
    assert "Permission denied" in machine.log()
    assert [*(home / "theirs").iterdir()] == []


async def test_k11_a_state_directory_that_may_not_be_written_is_said(
    home: Path, machine_of: Callable[..., Machine]
) -> None:
    machine = machine_of("http://127.0.0.1:9", MODEL_MANAGER_STATE_DIR=str(home / "theirs"))
    lent(machine)
    (home / "theirs").mkdir(mode=0o755)
    machine.start(*as_nobody())
    assert await machine.exited(20) == 78, machine.log()
    assert str(home / "theirs") in machine.log()
    assert "MODEL_MANAGER_STATE_DIR" in machine.log()
    assert "Traceback" not in machine.log()


async def test_k11_somebody_elses_file_that_may_not_be_read_holds_only_those_who_need_it(
    home: Path, origin: FaultyOrigin, machine_of: Callable[..., Machine]
) -> None:
    async with catalog(home / "c", shop(origin)) as url:
        machine = machine_of(url, WORKFLOW_IDS="flux,style", MODEL_MANAGER_ALLOW_HOSTS=origin.host)
        lent(machine)
        theirs = machine.store / "vae/two.safetensors"
        theirs.parent.mkdir(parents=True)
        theirs.write_bytes(TWO)
        theirs.chmod(0o600)
        for path in (machine.store, machine.store / "vae"):
            os.chown(path, NOBODY, NOBODY)
        machine.start(*as_nobody())
        await machine.until(lambda: machine.ask("/ready/flux")[0] == 200, "the other workflow is ready")
        await machine.until_said("could not be read whole")
        assert "Permission denied" in machine.log()
        assert not machine.ready()
        assert (theirs.stat().st_uid, sha256(theirs.read_bytes())) == (0, sha256(TWO))
        theirs.chmod(0o644)
        machine.ask("/scan", "POST")
        await machine.until_ready()
        assert origin.asked["/two.safetensors"] == 0
