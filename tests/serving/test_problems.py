from __future__ import annotations

import json

from aiohttp.test_utils import make_mocked_request

from model_manager.serving.problems import Answer, away, bad_parameter, no_such, refusal


def test_a_refusal_is_a_problem_that_says_what_to_do() -> None:
    response = refusal(make_mocked_request("GET", "/machines/m9?x=1"), no_such("machine", "m9", "GET /machines."))
    assert (response.status, response.content_type) == (404, "application/problem+json")
    assert json.loads(bytes(response.body)) == {
        "type": "urn:model-manager:problem:no-such-machine",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no machine 'm9'. GET /machines.",
        "instance": "/machines/m9",
    }


def test_who_is_to_wait_is_told_how_long() -> None:
    assert refusal(make_mocked_request("GET", "/"), away("redis", "gone")).headers["Retry-After"] == "5"


def test_a_body_that_was_not_read_ends_the_connection() -> None:
    assert refusal(make_mocked_request("POST", "/"), Answer(413, "too-large", "Send less.")).keep_alive is False


def test_k12_what_was_asked_is_shown_on_one_line() -> None:
    assert "\n" not in bad_parameter("a\nb" * 100, "is wrong.").detail
