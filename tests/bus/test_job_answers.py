from __future__ import annotations

import pytest

from model_manager.bus import job_answers as answers
from model_manager.errors import BusUnavailable
from model_manager.facts.job import Available, Errand, Returned


def test_an_answer_about_a_submission() -> None:
    text = '{"models":[{"model":"a.pt","machines":3}],"why":"x"}'
    found = answers.submitted("1", "QUEUED", "2", "7", text)
    assert (found.word, found.eligible, found.signature, found.why) == ("queued", 2, "7", "x")
    assert found.models == (Available(model="a.pt", machines=3),)
    assert answers.submitted("1", "BAD", "", "", "").word == "bad"


def test_a_model_that_is_named_by_an_object_keeps_its_words() -> None:
    assert answers.named({"name": "a.pt", "sha256": "ab"}) == '{"name":"a.pt","sha256":"ab"}'


def test_an_empty_list_of_lua_is_one() -> None:
    assert answers.available({}) == ()


def test_text_that_is_no_utf_8_is_shown_with_replacements() -> None:
    assert answers.body(b'{"payload":"\xff"}'.decode("utf-8", "surrogateescape")) == {"payload": "\ufffd"}


def test_a_job_that_was_given_back() -> None:
    assert answers.returned("DELAYED", ["1500"]) == Returned(word="delayed", due=1.5)
    assert answers.returned("PENDING", []) == Returned(word="pending")


def test_an_errand() -> None:
    assert answers.errand("7", '{"models":["a.pt"],"jobs":2}') == Errand(signature="7", models=("a.pt",), jobs=2)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"eligible":{}}', '{"eligible":1,"machines":[{}]}', '{"eligible":"x"}']
)
def test_an_answer_of_an_unknown_shape_is_no_answer(text: str) -> None:
    with pytest.raises(BusUnavailable):
        answers.read(text, answers.explanation)


@pytest.mark.parametrize("word", ["", "LATER", "OK"])
def test_an_unknown_word_is_no_answer(word: str) -> None:
    with pytest.raises(BusUnavailable):
        answers.returned(word, [])
    with pytest.raises(BusUnavailable):
        answers.submitted("1", word, "0", "", "")
