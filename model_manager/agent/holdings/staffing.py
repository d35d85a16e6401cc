"""How many files of a device this machine reads at once."""

from __future__ import annotations

import os
from collections.abc import Callable

from model_manager.decisions.staffing import workers
from model_manager.facts.device import Device
from model_manager.settings import Settings


def staffed(settings: Callable[[], Settings]) -> Callable[[Device], int]:
    """For `Readers`: what suits the device, unless the settings say otherwise; they may change while it runs."""
    cores = os.cpu_count() or 1
    return lambda device: workers(device.kind, cores, settings().readers or None)
