from __future__ import annotations

from model_manager.facts.trust import Trust


def test_nothing_is_believed_but_what_the_system_believes() -> None:
    assert Trust() == Trust(ca_file=None, cert_file=None, key_file=None)
