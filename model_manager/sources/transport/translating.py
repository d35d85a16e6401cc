"""The one place where failures of the network, h11 and aiohttp become ours. Their own text is never shown: it quotes addresses."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
import h11
from aiohttp import client_exceptions, http_exceptions

from model_manager.errors import BadUrl, ModelManagerError, OriginUnavailable

_CERTIFICATE: Final[dict[int, str]] = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is self-signed",
    19: "its certificate comes from an unknown authority",
    20: "its certificate comes from an unknown authority",
    21: "its certificate comes from an unknown authority",
    23: "its certificate was revoked",
    62: "its certificate is for another host",
    64: "its certificate is for another address",
}
"""X509_V_ERR_* of OpenSSL's x509_vfy.h → what it means."""


class Unconnected(ConnectionError):
    """No connection came about; `errno` as the system said it."""


class ProxyUnconnected(Unconnected):
    """Not even one to the proxy."""


class ProxyAnswered(ConnectionError):
    """The proxy would not connect us."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class ConnectingLate(TimeoutError):
    """No connection came about in time."""


class HandshakeFailed(ssl.SSLError):
    """TLS did not come about, whoever the other side is."""


class Unanswered(ConnectionError):
    """The other side closed the connection instead of answering."""


class Silent(TimeoutError):
    """Nothing more came of an answer that had begun."""


class Cut(ConnectionError):
    """The body ended before its end."""


_Why = str | Callable[[Any], str]


def _certificate(error: client_exceptions.ClientConnectorCertificateError) -> str:
    return _verification(error.certificate_error)


def _verification(error: Exception) -> str:
    return _CERTIFICATE.get(getattr(error, "verify_code", 0), "its certificate is not trusted")


def _connecting(error: client_exceptions.ClientConnectorError) -> str:
    return _unconnected(error.os_error)


def _unconnected(error: OSError) -> str:
    number = error.errno
    return f"it cannot be connected to ({os.strerror(number) if number and number > 0 else 'no route'})"


def _proxied(error: client_exceptions.ClientHttpProxyError | ProxyAnswered) -> str:
    return f"the proxy answered {error.status}"


_BROKE: Final = "the connection broke"
_GIBBERISH: Final = "its answer is not proper HTTP, or its headers are too long"
_CUT: Final = "its answer broke off"
_LATE: Final = "it did not answer in time"
_ADDRESS: Final = "the address or one that it redirects to is not valid"

TABLE: Final[dict[type[BaseException], _Why]] = {
    aiohttp.ClientError: _BROKE,
    aiohttp.ClientResponseError: _GIBBERISH,
    aiohttp.ContentTypeError: _GIBBERISH,
    aiohttp.WSServerHandshakeError: _GIBBERISH,
    aiohttp.WSMessageTypeError: _GIBBERISH,
    aiohttp.ClientHttpProxyError: _proxied,
    aiohttp.TooManyRedirects: "it redirects too often",
    aiohttp.ClientConnectionError: _BROKE,
    aiohttp.ClientConnectionResetError: _BROKE,
    aiohttp.ClientOSError: _BROKE,
    aiohttp.ClientConnectorError: _connecting,
    client_exceptions.UnixClientConnectorError: _connecting,
    aiohttp.ClientConnectorDNSError: "its name does not resolve",
    aiohttp.ClientProxyConnectionError: "the proxy cannot be connected to",
    aiohttp.ClientSSLError: "the TLS handshake failed",
    aiohttp.ClientConnectorSSLError: "the TLS handshake failed",
    aiohttp.ClientConnectorCertificateError: _certificate,
    aiohttp.ServerFingerprintMismatch: "its certificate is another one than expected",
    aiohttp.ServerConnectionError: _BROKE,
    aiohttp.ServerDisconnectedError: "it closed the connection without an answer",
    aiohttp.ServerTimeoutError: _LATE,
    aiohttp.ConnectionTimeoutError: "no connection came about in time",
    aiohttp.SocketTimeoutError: "it fell silent",
    aiohttp.ClientPayloadError: _CUT,
    client_exceptions.UploadAbortedError: _BROKE,
    aiohttp.InvalidURL: _ADDRESS,
    aiohttp.InvalidUrlClientError: _ADDRESS,
    aiohttp.RedirectClientError: _ADDRESS,
    aiohttp.NonHttpUrlClientError: _ADDRESS,
    aiohttp.InvalidUrlRedirectClientError: _ADDRESS,
    aiohttp.NonHttpUrlRedirectClientError: _ADDRESS,
    http_exceptions.HttpProcessingError: _GIBBERISH,
    http_exceptions.BadHttpMessage: _GIBBERISH,
    http_exceptions.HttpBadRequest: _GIBBERISH,
    http_exceptions.PayloadEncodingError: _CUT,
    http_exceptions.ContentEncodingError: _GIBBERISH,
    http_exceptions.TransferEncodingError: _CUT,
    http_exceptions.ContentLengthError: _CUT,
    http_exceptions.DecompressSizeError: _GIBBERISH,
    http_exceptions.LineTooLong: _GIBBERISH,
    http_exceptions.InvalidHeader: _GIBBERISH,
    http_exceptions.BadStatusLine: _GIBBERISH,
    http_exceptions.BadHttpMethod: _GIBBERISH,
    http_exceptions.InvalidURLError: _GIBBERISH,
    h11.ProtocolError: _GIBBERISH,
    h11.RemoteProtocolError: _GIBBERISH,
    h11.LocalProtocolError: _ADDRESS,
    Unconnected: _unconnected,
    ProxyUnconnected: "the proxy cannot be connected to",
    ProxyAnswered: _proxied,
    ConnectingLate: "no connection came about in time",
    HandshakeFailed: "the TLS handshake failed",
    Unanswered: "it closed the connection without an answer",
    Silent: "it fell silent",
    Cut: _CUT,
    socket.gaierror: "its name does not resolve",
    ssl.SSLCertVerificationError: _verification,
    ssl.SSLError: "the TLS connection failed",
    UnicodeError: _ADDRESS,
    TimeoutError: _LATE,
    OSError: _BROKE,
}
"""Each failure that a connection, h11 or aiohttp can raise → the reason that is shown. The nearest class in the hierarchy decides."""

FAULTS: Final = tuple(TABLE)


def reason(error: BaseException) -> str:
    """Why it failed, in our words."""
    why = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    return why if isinstance(why, str) else why(error)


def translated(error: BaseException, name: str, host: str) -> ModelManagerError:
    """BadUrl when the address itself is wrong, else OriginUnavailable."""
    why = reason(error)
    return BadUrl(url=host, why=why) if why == _ADDRESS else OriginUnavailable(host=host, name=name, why=why)


@contextmanager
def translating(name: str, host: str) -> Iterator[None]:
    """Around our own use of the network only, never around a caller's block."""
    try:
        yield
    except FAULTS as error:
        raise translated(error, name, host) from None
