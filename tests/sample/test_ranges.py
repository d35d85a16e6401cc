"""Which bytes does a request want?"""

from __future__ import annotations

import pytest

from model_manager.sample.ranges import Beyond, Part, Whole, Wish, wish

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Whole()),
        ("bytes=0-0", Part(start=0, end=1)),
        ("bytes=0-", Part(start=0, end=100)),
        ("bytes=40-", Part(start=40, end=100)),
        ("bytes=40-49", Part(start=40, end=50)),
        ("bytes=40-999", Part(start=40, end=100)),
        ("Bytes= 40-49 ", Part(start=40, end=50)),
        ("bytes=-10", Part(start=90, end=100)),
        ("bytes=-1000", Part(start=0, end=100)),
        ("bytes=-0", Beyond()),
        ("bytes=99-", Part(start=99, end=100)),
        ("bytes=100-", Beyond()),
        ("bytes=5000-6000", Beyond()),
        ("bytes=50-40", Whole()),
        ("bytes=0-1,5-6", Whole()),
        ("bytes=-", Whole()),
        ("bytes=a-b", Whole()),
        ("bytes=٣-", Whole()),
        ("items=0-5", Whole()),
        (f"bytes={'9' * 5000}-", Whole()),
    ],
)
def test_a_range_is_read_as_the_rfc_says(header: str | None, expected: Wish) -> None:
    assert wish(header, None, etag=ETAG, size=100) == expected


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1"])
def test_an_empty_file_has_no_range(header: str) -> None:
    assert wish(header, None, etag=ETAG, size=0) == Beyond()


@pytest.mark.parametrize("if_range", ['"other"', 'W/"abc"', "abc", "", "*", "Sat, 21 Nov 2026 02:00:00 GMT"])
def test_another_object_is_sent_whole_even_where_the_range_is_beyond_it(if_range: str) -> None:
    assert wish("bytes=40-", if_range, etag=ETAG, size=100) == Whole()
    assert wish("bytes=4000-", if_range, etag=ETAG, size=100) == Whole()


def test_the_same_object_goes_on() -> None:
    assert wish("bytes=40-", ETAG, etag=ETAG, size=100) == Part(start=40, end=100)
    assert wish("bytes=100-", ETAG, etag=ETAG, size=100) == Beyond()
