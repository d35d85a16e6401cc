from __future__ import annotations

import random

from model_manager.catalog.doctor.repeating import Repeating


async def test_what_was_added_more_than_once_is_found_and_nothing_else() -> None:
    chance = random.Random(3)
    numbers = [chance.randrange(-(2**63), 2**63) for _ in range(5000)]
    seen = Repeating()
    seen.add([*numbers, *numbers[:7]])
    seen.add([numbers[0], -(2**63), 2**63 - 1])
    assert await seen.several() == {*numbers[:7]}


async def test_of_nothing_nothing_is_there_twice() -> None:
    assert await Repeating().several() == set()
