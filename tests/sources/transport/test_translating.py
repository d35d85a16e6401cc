from __future__ import annotations

import errno
import inspect
import socket

import aiohttp
import h11
import pytest
from aiohttp import client_exceptions, http_exceptions
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from model_manager.errors import BadUrl, Broken, OriginUnavailable
from model_manager.sources.transport import translating as translating_room
from model_manager.sources.transport.translating import (
    TABLE,
    ConnectingLate,
    Cut,
    HandshakeFailed,
    ProxyAnswered,
    ProxyUnconnected,
    Silent,
    Unanswered,
    Unconnected,
    reason,
    translated,
    translating,
)

SECRET = URL("https://h.example/x?token=hf_CANARY")
KEY = ConnectionKey("h.example", 443, True, True, None, None, None)
INFO = RequestInfo(SECRET, "GET", CIMultiDictProxy(CIMultiDict(Authorization="Bearer hf_CANARY")), SECRET)


def kinds() -> list[type[BaseException]]:
    found = [*vars(client_exceptions).values(), *vars(http_exceptions).values()]
    return [
        kind for kind in found if inspect.isclass(kind) and issubclass(kind, Exception) and "aiohttp" in kind.__module__
    ]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_exception_of_aiohttp_is_named_in_the_table(kind):
    assert kind in TABLE


@pytest.mark.parametrize("kind", [h11.ProtocolError, h11.RemoteProtocolError, h11.LocalProtocolError])
def test_every_exception_of_h11_is_named_in_the_table(kind):
    assert kind in TABLE


def test_every_failure_of_our_own_connections_is_named_in_the_table():
    ours = [kind for kind in vars(translating_room).values() if inspect.isclass(kind) and issubclass(kind, OSError)]
    assert all(kind in TABLE for kind in ours if kind.__module__ == translating_room.__name__)


def test_the_table_names_nothing_that_aiohttp_no_longer_has():
    from_aiohttp = {kind for kind in TABLE if "aiohttp" in kind.__module__}
    assert from_aiohttp <= set(kinds())


@pytest.mark.parametrize(
    ("error", "why"),
    [(Unconnected(errno.ECONNREFUSED, None), "it cannot be connected to (Connection refused)"), (Unconnected(), "it cannot be connected to (no route)"),
     (ProxyUnconnected(errno.ECONNREFUSED, None), "the proxy cannot be connected to"), (ProxyAnswered(407), "the proxy answered 407"),
     (ConnectingLate(), "no connection came about in time"), (HandshakeFailed(), "the TLS handshake failed"), (Silent(), "it fell silent"),
     (Unanswered(), "it closed the connection without an answer"), (Cut(), "its answer broke off"), (TimeoutError(), "it did not answer in time"),
     (socket.gaierror(-2, "hf_CANARY"), "its name does not resolve"), (ConnectionResetError(), "the connection broke"),
     (h11.RemoteProtocolError("hf_CANARY"), "its answer is not proper HTTP, or its headers are too long")],
)  # fmt: skip
def test_what_is_said_of_a_failure_of_the_network(error, why):
    assert reason(error) == why


def test_k12_the_text_of_an_exception_is_never_shown():
    refused = aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "hf_CANARY"))
    errors = [
        aiohttp.ClientResponseError(INFO, (), status=400, message="hf_CANARY"),
        aiohttp.InvalidURL(SECRET, "hf_CANARY"),
        aiohttp.ClientPayloadError("hf_CANARY"),
        aiohttp.ClientHttpProxyError(INFO, (), status=407, message="hf_CANARY"),
        refused,
    ]
    assert all("CANARY" not in str(translated(error, "m", "h.example")) for error in errors)
    assert reason(refused) == "it cannot be connected to (Connection refused)"
    assert reason(errors[3]) == "the proxy answered 407"


def test_a_bad_address_is_refused_and_all_else_is_tried_again():
    assert isinstance(translated(aiohttp.NonHttpUrlRedirectClientError(SECRET), "m", "h"), BadUrl)
    assert isinstance(translated(UnicodeError("label too long"), "m", "h"), BadUrl)
    assert isinstance(translated(aiohttp.ServerDisconnectedError(), "m", "h"), OriginUnavailable)


def test_a_class_that_aiohttp_may_add_is_caught_by_its_parent():
    class New(aiohttp.ClientPayloadError):
        pass

    assert reason(New()) == reason(aiohttp.ClientPayloadError())


def test_a_fault_of_ours_passes_through_untouched():
    with pytest.raises(Broken), translating("m", "h"):
        raise Broken(what="ours.")
    with pytest.raises(KeyError), translating("m", "h"):
        raise KeyError("x")


def test_the_translated_error_does_not_drag_the_other_along():
    with pytest.raises(OriginUnavailable) as caught, translating("m", "h"):
        raise aiohttp.ClientPayloadError("hf_CANARY")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
