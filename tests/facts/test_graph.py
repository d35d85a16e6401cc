"""The budget of a document."""

from __future__ import annotations

from model_manager.facts.graph import Budget


def test_a_budget_is_spent_when_either_part_is() -> None:
    budget = Budget(nodes=1, values=3)
    assert budget.spend_node()
    assert budget.spend(3)
    assert not budget.spent
    assert not budget.spend()
    assert budget.spent
    assert not Budget(nodes=0).spend_node()
