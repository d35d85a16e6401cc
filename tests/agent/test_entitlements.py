from __future__ import annotations

from model_manager.agent.entitlements import hosts, tokens
from model_manager.settings import load


def test_only_tokens_that_are_set_are_known_and_none_is_shown() -> None:
    found = tokens(load({"HF_TOKEN": "hf_CANARY"}))
    assert list(found) == ["HF_TOKEN"]
    assert found["HF_TOKEN"].get_secret_value() == "hf_CANARY"
    assert "CANARY" not in repr(found)


def test_both_names_of_civitais_key_are_one_token() -> None:
    assert list(tokens(load({"CIVITAI_API_KEY": "key"}))) == ["CIVITAI_TOKEN"]


def test_k5_a_token_is_for_its_own_hosts_alone() -> None:
    found = hosts(load({"MODEL_MANAGER_HF_HOSTS": "huggingface.co,mirror:8443"}))
    assert found == {
        "HF_TOKEN": frozenset({"huggingface.co", "mirror:8443"}),
        "CIVITAI_TOKEN": frozenset({"civitai.com"}),
    }
