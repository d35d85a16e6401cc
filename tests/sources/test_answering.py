from __future__ import annotations

from datetime import UTC, datetime

import pytest

from model_manager.errors import Corrupt, NotFound, OriginUnavailable, RangeBeyond, Refused
from model_manager.facts.identity import Pin
from model_manager.sources.answering import Linked, Wish, content_pin, failure_of, offer_of, retry_after

WISH = Wish(name="x.safetensors", start=100, validator='"a"', size=1000)
SENT = WISH.headers()
NOTHING = Linked()
NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
GOOD = {"ETag": '"a"', "Content-Range": "bytes 100-999/1000", "Content-Length": "900"}


def offer(status=206, headers=GOOD, wish=WISH, sent=None, linked=NOTHING):
    return offer_of(wish, "h", status, headers, wish.headers() if sent is None else sent, linked)


def test_a_range_is_asked_for_only_with_a_strong_proof():
    assert SENT == {"Range": "bytes=100-", "If-Range": '"a"'}
    assert Wish(name="x", start=100, validator='W/"a"').headers() == {}
    assert Wish(name="x", start=100).headers() == {}
    assert Wish(name="x", validator='"a"').headers() == {}
    assert Wish(name="x", probe=True).headers() == {"Range": "bytes=0-0"}


@pytest.mark.parametrize("validator", [None, 'W/"a"'])
def test_a_pinned_object_is_continued_on_trust(validator):
    wish = Wish(name="x", start=100, validator=validator, size=1000, pinned=True)
    assert wish.headers() == {"Range": "bytes=100-"}
    assert offer(wish=wish).start == 100
    assert offer(200, {"Content-Length": "1000"}, wish=wish).start == 0
    for total in ("1001", "*"):
        with pytest.raises(Corrupt):
            offer(headers={"Content-Range": f"bytes 100-999/{total}"}, wish=wish)


def test_a_proof_is_asked_for_even_of_a_pinned_object():
    wish = Wish(name="x", start=100, validator='"a"', size=1000, pinned=True)
    assert wish.headers() == SENT
    with pytest.raises(Corrupt):
        offer(headers=GOOD | {"ETag": '"b"'}, wish=wish)


def test_a_proper_part_goes_on_where_we_were():
    got = offer()
    assert (got.start, got.size, got.validator) == (100, 1000, '"a"')


def test_b1_a_200_to_a_range_starts_at_0():
    got = offer(200, {"ETag": '"b"', "Content-Length": "7"})
    assert (got.start, got.size, got.validator) == (0, 7, '"b"')


@pytest.mark.parametrize(
    "lie",
    [{"Content-Range": "bytes 0-899/1000"}, {"Content-Range": "bytes 101-999/1000", "Content-Length": "899"}],
)
def test_b2_a_part_from_another_offset_is_corrupt(lie):
    with pytest.raises(Corrupt, match="where bytes from 100 were asked for"):
        offer(headers=GOOD | lie)


@pytest.mark.parametrize(
    "lie",
    [{"Content-Range": "bytes 100-1999/2000", "Content-Length": "1900"}, {"Content-Range": ""}, {"Content-Range": "bytes 100-/1000"},
     {"Content-Range": "bytes 100-1000/1000"}, {"Content-Range": "bytes 100-50/1000"}, {"Content-Length": "901"},
     {"Content-Range": "bytes 100-999/99999999999999999999"}, {"Content-Range": "items 100-999/1000"}],
)  # fmt: skip
def test_b3_another_total_or_no_content_range_is_corrupt(lie):
    with pytest.raises(Corrupt):
        offer(headers=GOOD | lie)


@pytest.mark.parametrize("etag", ['"b"', 'W/"a"', ""])
def test_b4_a_part_under_another_etag_is_corrupt(etag):
    with pytest.raises(Corrupt, match="another object"):
        offer(headers=GOOD | {"ETag": etag})


def test_a_part_that_nobody_asked_for_is_corrupt():
    with pytest.raises(Corrupt):
        offer(wish=Wish(name="x"))


def test_b5_a_weak_etag_is_no_validator():
    assert offer(200, {"ETag": 'W/"x"'}).validator is None


def test_a_total_that_is_not_told_is_unknown():
    assert offer(headers=GOOD | {"Content-Range": "bytes 100-999/*"}).size is None


@pytest.mark.parametrize("size", [1000, 50, None])
def test_b15_nothing_at_the_offset_is_told_with_the_true_length(size):
    said = {"Content-Range": f"bytes */{size}"} if size else {}
    with pytest.raises(RangeBeyond) as caught:
        offer(416, {"Content-Type": "text/html", **said})
    assert caught.value.size == size


def test_an_empty_object_is_described_as_empty():
    got = offer(416, {"Content-Range": "bytes */0"}, Wish(name="x", probe=True))
    assert (got.start, got.size) == (0, 0)


@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"])
def test_b9_a_web_page_is_not_a_model(kind):
    with pytest.raises(Corrupt, match="web page"):
        offer(200, {"Content-Type": kind, "Content-Length": "7"})


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_b10_a_content_encoding_is_refused(encoding):
    with pytest.raises(Corrupt, match="compressed"):
        offer(200, {"Content-Encoding": encoding})


@pytest.mark.parametrize("status", [204, 202, 300, 304])
def test_an_answer_without_the_object_is_no_object(status):
    with pytest.raises(OriginUnavailable):
        offer(status, {})


def test_what_the_front_says_counts():
    linked = Linked(pin=Pin(algorithms=("sha256",), hex="a" * 64), size=1000)
    got = offer(200, {"Content-Length": "1000", "ETag": '"cdn"'}, linked=linked)
    assert (got.promise, got.validator, got.size) == (linked.pin, f'"{"a" * 64}"', 1000)
    assert offer(200, {}, linked=linked).size == 1000
    with pytest.raises(Corrupt, match="announced"):
        offer(200, {"Content-Length": "999"}, linked=linked)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFound), (410, NotFound), (429, OriginUnavailable), (503, OriginUnavailable), (500, OriginUnavailable),
     (408, OriginUnavailable), (425, OriginUnavailable), (418, Refused), (451, Refused), (400, Refused)],
)  # fmt: skip
def test_what_a_status_means(status, kind):
    assert type(failure_of("m", "h", status, {}, False)) is kind


@pytest.mark.parametrize("status", [400, 401, 403, 410])
def test_b13_a_refusal_by_the_host_of_a_signed_address_means_ask_again(status):
    assert type(failure_of("m", "cdn", status, {}, True)) is OriginUnavailable


@pytest.mark.parametrize("status", [200, 206, 416, 401, 403])
def test_other_statuses_are_judged_elsewhere(status):
    assert failure_of("m", "h", status, {}, False) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("0", 0), ("1000000000", 3600), ("9" * 400, 3600), ("-5", None), ("soon", None), ("", None), ("1.5", None), ("٣", None),
     ("Thu, 01 Jan 2026 12:01:00 GMT", 60), ("Thu, 01 Jan 2026 11:00:00 GMT", 0), ("Fri, 01 Jan 2500 00:00:00 GMT", 3600),
     ("Thu, 99 Jan 2026 12:01:00 GMT", None)],
)  # fmt: skip
def test_b11_retry_after_in_every_form(text, seconds):
    assert retry_after({"Retry-After": text}, NOW) == seconds
    error = failure_of("m", "h", 429, {"Retry-After": text, "Date": "Thu, 01 Jan 2026 12:00:00 GMT"}, False)
    assert error.retry_after == seconds


def test_i6_a_retry_date_counts_from_the_servers_own_clock():
    headers = {"Retry-After": "Thu, 01 Jan 2026 12:01:00 GMT", "Date": "Thu, 01 Jan 2026 12:00:30 GMT"}
    assert retry_after(headers, datetime(2036, 1, 1, tzinfo=UTC)) == 30


@pytest.mark.parametrize(
    ("headers", "pin"),
    [({"Content-Digest": "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"}, "sha256:" + "0" * 64),
     ({"Content-Digest": "sha-512=:AAAA:, sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"}, "sha256:" + "0" * 64),
     ({"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "md5:" + "0" * 32),
     ({"Content-Digest": "sha-256=:AAAA:"}, None), ({"Content-Digest": "sha-512=:AAAA:"}, None), ({"Content-MD5": "nonsense"}, None),
     ({"Repr-Digest": "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"}, None), ({}, None)],
)  # fmt: skip
def test_the_digest_of_an_answers_own_bytes(headers, pin):
    found = content_pin(headers)
    assert (found and str(found)) == pin
