from __future__ import annotations

import pytest

from model_manager.decisions.reloading import Adopt, Restart, reload

OLD = {"speed": 1, "floor": 2, "machine": "m"}


@pytest.mark.parametrize(
    ("new", "then"),
    [
        (OLD, Adopt(changed=())),
        ({**OLD, "speed": 9}, Adopt(changed=("speed",))),
        ({**OLD, "speed": 9, "floor": 0}, Adopt(changed=("speed", "floor"))),
        ({**OLD, "machine": "n"}, Restart(fields=("machine",))),
        ({**OLD, "speed": 9, "machine": "n"}, Restart(fields=("machine",))),
        ({**OLD, "new": 1}, Restart(fields=("new",))),
    ],
)
def test_all_of_a_change_or_none_of_it(new, then):
    assert reload(OLD, new, frozenset({"speed", "floor"})) == then
