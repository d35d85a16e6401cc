from __future__ import annotations

from tests.stories.conftest import home, machine_of, origin

__all__ = ["home", "machine_of", "origin"]
