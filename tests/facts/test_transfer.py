from __future__ import annotations

from model_manager.facts import wire
from model_manager.facts.transfer import Phase, Transfer
from tests.decisions.making import shelf


def test_a_transfer_begins_queued_with_nothing_known():
    begun = Transfer(shelf=shelf("vae/x.safetensors"))
    assert (begun.phase, begun.bytes, begun.total, begun.eta, begun.attempt) == (Phase.QUEUED, 0, None, None, 1)


def test_phases_are_written_as_plain_words():
    assert wire.loads(wire.dumps([*Phase])) == [phase.value for phase in Phase]
    assert all(str(phase) == phase.value == phase.value.lower() for phase in Phase)
