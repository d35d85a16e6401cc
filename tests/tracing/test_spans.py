"""Where nobody wants traces, nothing of the packages is needed."""

from __future__ import annotations

import subprocess
import sys


def test_programs_run_without_the_packages() -> None:
    code = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "import model_manager.agent.run, model_manager.fleet.run, model_manager.cli.main\n"
        "print('fine')"
    )
    said = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert said.stdout == "fine\n", said.stderr
