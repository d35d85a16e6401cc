from __future__ import annotations

from model_manager.serving.routing import Route, specific_first


def _route(path: str, **more: object) -> Route:
    return Route(method="GET", path=path, name=path, summary="", **more)  # type: ignore[arg-type]


def test_a_path_without_a_variable_comes_before_one_that_would_swallow_it() -> None:
    paths = ["/events/{id}", "/{name}", "/events", "/events/stream"]
    ordered = [route.path for route in specific_first([_route(path) for path in paths])]
    assert ordered == ["/events/stream", "/events", "/events/{id}", "/{name}"]


def test_what_takes_a_body_needs_a_token_unless_it_says_otherwise() -> None:
    assert [_route("/", takes="B").needs_token, _route("/").needs_token] == [True, False]
    assert [_route("/", takes="B", secured=False).needs_token, _route("/", secured=True).needs_token] == [False, True]
