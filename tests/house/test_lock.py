"""What the product imports is locked for who only runs it: a package of the tests must not stand in for a missing one."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.house.tree import ROOT

IMPORTED = """
import importlib, importlib.metadata, pkgutil, sys, model_manager
for each in pkgutil.walk_packages(model_manager.__path__, "model_manager."):
    if ".migrations." not in each.name and not each.name.endswith((".otlp", ".__main__", ".mapped")):
        importlib.import_module(each.name)
owners = importlib.metadata.packages_distributions()
print(*{owner for name in list(sys.modules) for owner in owners.get(name.partition(".")[0], ())})
"""

WITHOUT = {"model-manager", "pip", "setuptools", "cryptography"}
"""Ours, what every environment has, and what redis-py takes for OCSP only where it is there."""


def test_whatever_the_product_imports_is_in_the_lock_of_who_runs_it() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True, cwd=ROOT)
    locked = {
        plain(line.partition("==")[0].partition("[")[0])
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if re.match(r"[A-Za-z0-9]", line)
    }
    assert {plain(each) for each in done.stdout.split()} - locked <= WITHOUT


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
