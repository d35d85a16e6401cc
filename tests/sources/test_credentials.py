from __future__ import annotations

import pytest
from pydantic import SecretStr
from yarl import URL

from model_manager.sources.credentials import Credentials

CANARY = "hf_CANARY123"


@pytest.fixture
def credentials() -> Credentials:
    return Credentials(tokens={"HF_TOKEN": SecretStr(CANARY)})


@pytest.mark.parametrize("url", ["https://huggingface.co/a", "https://HuggingFace.co:443/a"])
def test_a_token_goes_to_its_own_host(credentials, url):
    assert credentials.headers(URL(url)) == {"Authorization": f"Bearer {CANARY}"}


@pytest.mark.parametrize(
    "url",
    ["http://huggingface.co/a", "https://huggingface.co:8443/a", "https://huggingface.co.evil/a", "https://evil/huggingface.co",
     "https://huggingface.co@evil/a", "https://cdn.huggingface.co/a", "https://civitai.com/a", "https://huggingface.co./a"],
)  # fmt: skip
def test_k5_a_token_goes_nowhere_else(credentials, url):
    assert credentials.headers(URL(url)) == {}


def test_the_token_that_is_missing_is_known_by_name(credentials):
    assert credentials.token_of(URL("https://civitai.com/x")) == "CIVITAI_TOKEN"
    assert credentials.token_of(URL("http://civitai.com/x")) is None


def test_hosts_are_configured_with_their_port():
    mirror = Credentials(tokens={"HF_TOKEN": SecretStr("t")}, hosts={"HF_TOKEN": frozenset({"mirror:8443"})})
    assert mirror.headers(URL("https://mirror:8443/a"))
    assert not mirror.headers(URL("https://mirror/a"))


def test_k12_a_token_is_in_no_repr(credentials):
    assert CANARY not in repr(credentials)
    assert CANARY not in str(credentials)
