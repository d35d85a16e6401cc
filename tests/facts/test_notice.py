from __future__ import annotations

from typing import get_args

from model_manager.facts.notice import KINDS, MODELS, RuleKind, Subject, Turn


def test_the_list_of_kinds_is_the_type_itself() -> None:
    assert get_args(RuleKind) == KINDS
    assert set(KINDS) > MODELS


def test_what_only_is_remembered_is_told_to_nobody() -> None:
    assert not Turn(kept={"a": True}).telling
    assert Turn(ended=(Subject(key="a"),), kept={"a": None}).telling
