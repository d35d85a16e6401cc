"""The first event of a run."""

from __future__ import annotations

import socket

from model_manager import __version__
from model_manager.agent.gate import boot_id
from model_manager.agent.holdings.shelves import Shelves
from model_manager.facts.event import MachineHello


def hello(shelves: Shelves) -> MachineHello:
    """Who begins, and how much is held: who knows the inventory of this digest already needs no snapshot."""
    held = shelves.held.values()
    return MachineHello(
        version=__version__,
        host=socket.gethostname(),
        boot_id=boot_id(),
        models=len(held),
        bytes=sum(each.fingerprint.size for each in held),
    )
