from __future__ import annotations

import pytest

from model_manager.errors import BadSetting
from model_manager.facts.quota import Quota, Quotas


def parse(text: str) -> Quota:
    return Quota.parse(text, "RATE")


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1500", 1500),
        ("200MB", 200_000_000),
        ("200mb/s", 200_000_000),
        ("1.5 GiB", 3 << 29),
        ("64ki", 64 << 10),
        ("3k", 3000),
        ("0.4", 1),
        ("0", None),
        ("0.0MB", None),
        ("", None),
        (" , ", None),
    ],
)
def test_a_bare_amount_is_the_total(text, amount):
    assert parse(text) == Quota(total=amount)


def test_any_host_and_hosts_by_name():
    quota = parse("1G, *=50MB, Civitai.com = 10MB, localhost:8080=1k")
    assert (quota.total, quota.each) == (10**9, 50_000_000)
    assert quota.of("civitai.com") == quota.of("CIVITAI.com") == 10_000_000
    assert quota.of("localhost:8080") == 1000
    assert quota.of("localhost") == quota.of("example.org") == 50_000_000


def test_a_named_host_may_be_free_where_any_other_is_not():
    quota = parse("*=50MB,mirror.lan=0")
    assert quota.of("mirror.lan") is None
    assert quota.of("other.lan") == 50_000_000


@pytest.mark.parametrize(
    "text",
    ["fast", "-1", "1TB", "1e9", "10MB MB", "*=", "=5MB", "a b=5MB", "a/b=5", "5MB,6MB", "*=1,*=2", "h=1,H=2", "٣MB"],
)
def test_what_cannot_be_read_is_said_with_the_settings_name(text):
    with pytest.raises(BadSetting, match=r"^RATE: .*Write for example") as caught:
        parse(text)
    assert caught.value.facts["name"] == "RATE"


def test_by_default_only_the_connections_of_one_host_are_limited():
    quotas = Quotas()
    assert quotas.connections.of("h") == 16
    assert quotas.connections.total is quotas.rate.total is quotas.requests.total is None
    assert quotas.rate.of("h") is quotas.requests.of("h") is None
