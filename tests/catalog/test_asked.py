from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from model_manager.catalog import asked
from model_manager.serving.problems import Answer


def test_names_are_taken_once_each_in_order() -> None:
    assert asked.names({"ids": ["b", "a", "b"]}, "ids") == ("b", "a")
    assert asked.names({}, "ids", required=False) == ()


@pytest.mark.parametrize("body", [{}, {"ids": None}, {"ids": "a"}, {"ids": [1]}, {"ids": [None]}, {"ids": {}}])
def test_any_other_shape_is_refused_by_name(body: dict[str, object]) -> None:
    with pytest.raises(Answer, match="ids must be an array of strings"):
        asked.names(body, "ids")


def test_a_flag_is_true_or_false() -> None:
    assert [asked.flag({"f": True}, "f"), asked.flag({}, "f")] == [True, False]
    with pytest.raises(Answer):
        asked.flag({"f": 1}, "f")


@pytest.mark.parametrize(
    ("headers", "tag", "made"),
    [
        ({}, None, True), ({}, "t", True),
        ({"If-Match": '"t"'}, "t", True), ({"If-Match": 'W/"t"'}, "t", True), ({"If-Match": '"u"'}, "t", False),
        ({"If-Match": "*"}, "t", True), ({"If-Match": "*"}, None, False), ({"If-Match": '"t"'}, None, False),
        ({"If-None-Match": "*"}, "t", False), ({"If-None-Match": "*"}, None, True), ({"If-None-Match": '"u"'}, "t", True),
    ],
)  # fmt: skip
def test_conditions_hold_or_end_in_412(headers: dict[str, str], tag: str | None, made: bool) -> None:
    request = make_mocked_request("PUT", "/models/m", headers=headers)
    assert asked.conditional(request) is bool(headers)
    if made:
        asked.insist(request, tag, "It")
    else:
        with pytest.raises(Answer) as refused:
            asked.insist(request, tag, "It")
        assert refused.value.status == 412


def test_an_id_is_of_the_address_the_body_or_the_name() -> None:
    assert asked.identity("p", "n", "p") == asked.identity(None, "n", "p") == "p"
    assert (asked.identity("i", "n"), asked.identity(None, "n")) == ("i", "n")


@pytest.mark.parametrize(
    ("given", "name", "path"), [("i", "n", "p"), (None, None, None), (None, "a\nb", None), (None, " a", None)]
)
def test_an_id_that_is_none_is_refused(given: str | None, name: str | None, path: str | None) -> None:
    with pytest.raises(Answer) as refused:
        asked.identity(given, name, path)
    assert refused.value.status == 400
