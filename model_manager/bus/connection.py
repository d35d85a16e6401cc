"""The connection to Redis, and the one place where its failures become ours."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from model_manager.bus.locating import SOUGHT, UntaggedPrefix, located
from model_manager.errors import BadSetting, BusUnavailable
from model_manager.facts.trust import Trust

FAILURES: Final[tuple[type[Exception], ...]] = (
    *(each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, Exception)),
    OSError,
)

_CREDENTIALS: Final = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.ExternalAuthProviderError,
)
_RIGHTS: Final = (exceptions.AuthorizationError, exceptions.NoPermissionError)


def connect(url: str, *, timeout: float = 10.0, prefix: str = "", trust: Trust | None = None) -> Redis:
    """A client of one server (`redis://`, `rediss://`, `unix://`), of the primary that Sentinels name (`redis+sentinel://`) or of
    the Cluster's node that has the keys of `prefix` (`redis+cluster://`); it connects at the first command. `timeout` in seconds.
    `trust` is for addresses that speak TLS (`rediss`).

    Nothing is retried here: a write whose answer was lost is repeated by its (epoch, seq), never blindly.
    Raises BadSetting for any other address, for a prefix that is in no single slot of a Cluster, and for certificates that
    cannot be read.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, 5.0),
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    scheme = url.partition(":")[0]
    if trust is not None and scheme.startswith("rediss"):
        options |= _tls(trust)
    try:
        return located(scheme, url, prefix, options) if scheme in SOUGHT else Redis.from_url(url, **options)
    except UntaggedPrefix:
        raise BadSetting(
            name="MODEL_MANAGER_REDIS_PREFIX",
            why="without braces the keys are in many slots of the Cluster",
            fix="Put the name of the pool into braces, for example {pool}:",
        ) from None
    except ValueError:
        raise BadSetting(
            name="REDIS_URL",
            why="it is not an address of Redis",
            fix="Write redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://, for example redis://127.0.0.1:6379/0.",
        ) from None


def _tls(trust: Trust) -> dict[str, str]:
    """As redis-py names them. Read once here, so that what is wrong with them is said at the start."""
    try:
        context = ssl.create_default_context(cafile=trust.ca_file)
        if trust.cert_file is not None:
            context.load_cert_chain(trust.cert_file, trust.key_file)
    except OSError as error:
        raise BadSetting(
            name="MODEL_MANAGER_REDIS_CERT_FILE, MODEL_MANAGER_REDIS_KEY_FILE or MODEL_MANAGER_CA_FILE",
            why=f"it cannot be used ({error.strerror or error})",
            fix="Name PEM files that this user may read: the client's certificate, its key without a passphrase, and the authority.",
        ) from None
    given = {"ssl_ca_certs": trust.ca_file, "ssl_certfile": trust.cert_file, "ssl_keyfile": trust.key_file}
    return {name: value for name, value in given.items() if value is not None}


@contextmanager
def translate() -> Iterator[None]:
    """Whatever redis-py raises leaves this block as BusUnavailable."""
    with minding_cancellation():
        try:
            yield
        except FAILURES as error:
            raise BusUnavailable(why=_why(_root(error))) from None


@contextmanager
def minding_cancellation() -> Iterator[None]:
    """Raises the CancelledError that was swallowed inside.

    redis-py sends under asyncio.wait_for, which before Python 3.12 forgets a cancellation that arrives when the bytes are
    already out (python/cpython#86296): without this a stopping program would now and then wait for ever.
    """
    before = _cancellations()
    try:
        yield
    finally:
        if _cancellations() > before:
            raise asyncio.CancelledError


def _cancellations() -> int:
    """Requests to cancel the running task. A task may well talk to Redis while it is being cancelled, to say goodbye."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _root(error: Exception) -> Exception:
    """redis-py wraps what the server says to AUTH and SELECT into a ConnectionError."""
    while isinstance(error.__cause__, FAILURES):
        error = error.__cause__
    return error


def _why(error: Exception) -> str:
    if isinstance(error, _CREDENTIALS):
        return "it does not accept the user or the password. Correct them in REDIS_URL"
    if isinstance(error, _RIGHTS):
        return f"the user of REDIS_URL may not do this ({error}). Grant it the rights that docs/redis.md lists"
    if isinstance(error, exceptions.BusyLoadingError):
        return "it is still loading its data"
    if isinstance(error, exceptions.ReadOnlyError):
        return "it is a read-only replica. Point REDIS_URL at the primary, or wait for the failover"
    if isinstance(error, exceptions.AskError):
        return "it is a node of a Cluster. Write redis+cluster:// in REDIS_URL"
    if isinstance(error, exceptions.OutOfMemoryError):
        return "it is out of memory (maxmemory). Give it more, or shorten the stream"
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return "it did not answer in time"
    return str(error).rstrip(".") or type(error).__name__
