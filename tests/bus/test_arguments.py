from __future__ import annotations

from collections.abc import Callable

import pytest

from model_manager.bus import arguments
from model_manager.facts.event import Envelope, ReadinessChanged
from tests.bus.telling import Teller, entry


def ticks(count: int) -> list[arguments.Sent]:
    teller = Teller()
    event = ReadinessChanged(ready=True, reasons=(), workflows={})
    return [arguments.sent(teller.tell(event)) for _ in range(count)]


def big(count: int) -> list[arguments.Sent]:
    teller = Teller()
    return [arguments.sent(teller.appear(*(entry(f"{n}-{m}.pt") for m in range(22)))) for n in range(count)]


@pytest.mark.parametrize(
    ("make", "count", "sizes"),
    [(ticks, 0, []), (ticks, 200, [200]), (ticks, 401, [200, 200, 1]), (big, 5, [2, 2, 1]), (big, 1, [1])],
)
def test_batches_keep_the_order_and_the_limits(
    make: Callable[[int], list[arguments.Sent]], count: int, sizes: list[int]
) -> None:
    events = make(count)
    batches = list(arguments.batches(events))
    assert [len(batch) for batch in batches] == sizes
    assert [each for batch in batches for each in batch] == events


def test_one_event_beyond_the_limits_still_goes() -> None:
    teller = Teller()
    huge = arguments.sent(teller.appear(*(entry(f"{n}.pt") for n in range(3_000))))
    assert huge.changes > arguments.BATCH_CHANGES
    assert list(arguments.batches([huge])) == [[huge]]


def test_a_blind_event_brings_no_changes() -> None:
    envelope: Envelope = Teller().appear(entry("a.pt"))
    assert arguments.sent(envelope).names == ("a.pt",)
    assert arguments.sent(envelope, blind=True).changes == 0
    assert arguments.sent(envelope, blind=True).arguments[-1] == "0"
