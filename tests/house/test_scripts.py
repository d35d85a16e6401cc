"""scripts/setup and scripts/run in a checkout of their own, with locks that lock nothing: no network is needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

MAIN = "import sys\n\n\ndef main():\n    print('agent', *sys.argv[1:])\n    return 3\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    top = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", top / "scripts")
    for name in ("requirements.lock", "requirements-dev.lock"):
        (top / name).write_text("# nothing\n")
    (top / "model_manager" / "cli").mkdir(parents=True)
    (top / "model_manager" / "cli" / "main.py").write_text(MAIN)
    return top


def call(checkout: Path, script: str, *arguments: str, **env: str) -> tuple[int, str, str]:
    result = subprocess.run(
        [checkout / "scripts" / script, *arguments], cwd="/", capture_output=True, text=True, check=False, timeout=100,
        env={**os.environ, "SETUP_PYTHON": sys.executable, **env},
    )  # fmt: skip
    return result.returncode, result.stdout, result.stderr


def test_run_sets_up_once_and_becomes_the_agent(checkout: Path) -> None:
    code, out, err = call(checkout, "run", "--state-dir", "x y")
    assert (code, out) == (3, "agent run --state-dir x y\n")
    assert "setup: done." in err
    assert call(checkout, "run") == (3, "agent run\n", "")

    (checkout / "requirements.lock").write_text("# another lock\n")
    assert "setup: done." in call(checkout, "setup", "run")[2]
    assert "setup: done." in call(checkout, "setup", "test")[2]
    assert call(checkout, "setup", "run") == (0, "", "")

    moved = checkout.rename(checkout.parent / "moved")
    assert "setup: done." in call(moved, "setup", "run")[2]
    assert call(moved, "run") == (3, "agent run\n", "")


def test_what_sends_traces_is_put_beside_the_packages_that_run(checkout: Path) -> None:
    code, _, err = call(checkout, "setup", "otel")
    assert code == 78
    assert "requirements-otel.lock is missing" in err
    (checkout / "requirements-otel.lock").write_text("# nothing\n")
    code, _, err = call(checkout, "setup", "otel")
    assert code == 0
    assert err.index("setup: done.") < err.index("requirements-otel.lock")
    assert call(checkout, "setup", "run") == (0, "", "")
    (checkout / "requirements-otel.lock").write_text("no-such-package==1 --hash=sha256:" + "0" * 64 + "\n")
    assert call(checkout, "setup", "otel")[0] == 78


def test_the_locks_agree_and_name_no_address() -> None:
    run, dev, otel = (
        dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / f"requirements{name}.lock").read_text(), re.MULTILINE))
        for name in ("", "-dev", "-otel")
    )
    assert {name: dev.get(name) for name in run} == run == {name: otel.get(name) for name in run}
    assert {name for name in otel if name.startswith("opentelemetry-sdk")}
    for name in ("", "-dev", "-otel"):
        assert "://" not in (ROOT / f"requirements{name}.lock").read_text()


def test_two_starts_at_once_set_up_once(checkout: Path) -> None:
    command = [checkout / "scripts" / "setup", "run"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=100)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(said).count("setup: done.") == 1


def test_without_a_python_it_says_what_to_install(checkout: Path) -> None:
    code, _, err = call(checkout, "setup", "run", SETUP_PYTHON="false")
    assert code == 78
    assert "Python 3.11 or newer" in err
    assert "SETUP_PYTHON" in err


def test_an_incomplete_checkout_is_told_as_such(checkout: Path) -> None:
    (checkout / "requirements-dev.lock").unlink()
    code, _, err = call(checkout, "setup", "run")
    assert code == 78
    assert "requirements-dev.lock is missing" in err


def test_packages_that_cannot_be_had_leave_no_half_setup(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("no-such-package==1 --hash=sha256:" + "0" * 64 + "\n")
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout)}
    for _ in range(2):
        code, _, err = call(checkout, "setup", "run", **nowhere)
        assert code == 78
        assert "could not install" in err
