from __future__ import annotations

from model_manager.fleet.telling import KEPT, Listening, Numbered, Telling, place
from tests.bus.telling import Teller


def numbered(*numbers: int) -> list[Numbered]:
    teller = Teller()
    return [(f"{number}-0", teller.hello()) for number in numbers]


HELLO = {"machine.hello"}


def ids(told: list[Numbered] | None) -> list[str]:
    assert told is not None
    return [identity for identity, _ in told]


def test_ids_are_ordered_as_numbers() -> None:
    assert place("9-10") < place("10-0") < place("10-2") < place("10-11")


def test_memory_says_when_it_does_not_reach_back() -> None:
    telling = Telling()
    assert telling.since("1-0") is None
    telling.tell(numbered(*range(1, KEPT + 2)), HELLO)
    assert telling.since("1-0") is None
    assert ids(telling.since("2-0")) == [f"{n}-0" for n in range(3, KEPT + 2)]
    assert telling.since(f"{KEPT + 1}-0") == []
    assert telling.since("999999-0") == []


async def test_what_later_events_will_push_out_is_told_but_not_remembered_and_memory_has_no_hole() -> None:
    heard: list[tuple[str, ...]] = []
    telling = Telling(lambda told, kinds: heard.append((told[-1][0], *kinds)))
    with telling.listening() as listener:
        telling.tell(numbered(1), HELLO)
        telling.tell(numbered(2), HELLO, KEPT - 1)
        assert ids(telling.since("1-0")) == ["2-0"]
        telling.tell(numbered(3), HELLO, KEPT)
        assert (telling.last, telling.since("1-0"), telling.since("2-0"), telling.since("3-0")) == (
            "3-0",
            None,
            None,
            [],
        )
        telling.tell(numbered(4), HELLO, KEPT - 1)
        telling.tell(numbered(5), HELLO)
        assert telling.since("3-0") is None
        assert ids(telling.since("4-0")) == ["5-0"]
        assert ids(await listener.take(0.0)) == [f"{n}-0" for n in range(1, 6)]
    assert heard == [(f"{n}-0", "machine.hello") for n in range(1, 6)]


async def test_a_listener_hears_what_is_told_while_it_listens() -> None:
    telling = Telling()
    telling.tell(numbered(1), HELLO)
    with telling.listening() as listener:
        assert await listener.take(0.0) == []
        telling.tell(numbered(2), HELLO)
        telling.tell(numbered(3), HELLO)
        assert ids(await listener.take(1.0)) == ["2-0", "3-0"]
        assert telling.listeners == 1
        telling.close()
        assert listener.ended
        assert await listener.take(60.0) == []
    assert telling.listeners == 0


async def test_a_slow_listener_holds_no_memory() -> None:
    listener = Listening()
    for _ in range(3):
        listener.put(numbered(*range(1, 3_000)))
    assert listener.overflowed
    assert await listener.take(60.0) == []
