from __future__ import annotations

from model_manager.agent.transfers.mistrusting import CONDEMNED, Mistrust
from model_manager.facts.identity import Digests
from model_manager.facts.shelf import ShelfPath
from model_manager.facts.transfer import Offer, Received
from tests.agent.stage import HeldClock

PATH, A, B = ShelfPath(folder="vae", name="x"), "https://a.test/x", "https://b.test/x"
OFFER = Offer(size=5, validator='"one"', promise=None, start=0, host="a.test")
GOT = Received(size=5, digests=Digests(sha256="0" * 64), promise=None, host="a.test", validator='"one"')


def wrong(mistrust: Mistrust, *urls: str) -> None:
    for number, url in enumerate(urls):
        mistrust.carries(PATH, url, on=number > 0)
    mistrust.wrong(PATH, urls[-1], GOT)


def test_an_object_that_was_wrong_twice_is_condemned_for_a_while_and_no_other_is() -> None:
    clock = HeldClock()
    mistrust = Mistrust(clock)
    wrong(mistrust, A)
    assert not mistrust.condemned(A, OFFER)
    wrong(mistrust, A)
    assert mistrust.condemned(A, OFFER)
    assert not mistrust.condemned(B, OFFER)
    clock.seconds += CONDEMNED
    assert not mistrust.condemned(A, OFFER)


def test_l5_a_wrong_mixture_condemns_nobody_and_is_not_mixed_again_until_it_is_right() -> None:
    mistrust = Mistrust(HeldClock())
    for _ in range(2):
        wrong(mistrust, A, B)
    assert not mistrust.condemned(B, OFFER)
    assert mistrust.alone(PATH)
    mistrust.right(PATH)
    assert not mistrust.alone(PATH)


def test_everything_may_be_forgiven() -> None:
    mistrust = Mistrust(HeldClock())
    for _ in range(2):
        wrong(mistrust, A)
    wrong(mistrust, A, B)
    mistrust.forgive()
    assert not mistrust.condemned(A, OFFER)
    assert not mistrust.alone(PATH)
