"""Asks whether the tracking store can be reached, before MLflow waits for it for minutes.

By MLflow's own settings one call to a server that is gone takes four minutes to fail, and a
database that is not one takes two. A short question first makes that seconds.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from barrage_mlflow.errors import TrackingError

T = TypeVar("T")

NO_ANSWER = "NO_ANSWER"
"""The code of our own errors where MLflow gives none because its store does not answer."""

_ATTEMPTS = 3
_TIMEOUT = 3
_PAUSE = 1
"""Seconds; so that a server that hangs is known after 3 * 3 + 2 * 1."""

_POST_TIMEOUT = 30
"""Seconds that a request with a thousand metrics may take."""

_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_SQLITE_MAGIC = b"SQLite format 3\0"

_NO_REFUSALS = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")
"""What MLflow's client calls a request that was not answered."""

_RETRIES = (0.2, 1.0, 3.0)
"""Seconds before a call is made again after a database said that it was busy."""


def shown_uri(uri: str) -> str:
    """Return a tracking URI without its user and password, fit for a message.

    Example:
        >>> shown_uri("https://ann:secret@mlflow.example.org:8080/team")
        'https://mlflow.example.org:8080/team'
    """
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.netloc else uri


def check_store(uri: str, attempts: int | None = None) -> None:
    """Check that a tracking store answers.

    A server gets three attempts of 3 s each, unless the user's own settings of MLflow's
    (``MLFLOW_HTTP_REQUEST_TIMEOUT``, ``MLFLOW_HTTP_REQUEST_MAX_RETRIES``) say otherwise. Any
    answer will do: one that asks for a login is MLflow's to explain.

    Args:
        uri: the tracking URI.
        attempts: how often to ask; by the settings if left out.

    Raises:
        TrackingError: it does not answer, or is not a store.

    Example:
        >>> check_store("sqlite:///a-new-file.db")
    """
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if is_server(uri):
        _check_server(uri, attempts)
    elif scheme == "sqlite":
        _check_sqlite(uri)
    elif scheme in _PORTS:
        _check_database(uri, _PORTS[scheme])


def call(uri: str, act: str, function: Callable[[], T]) -> T:
    """Make one call to MLflow, when its store answers.

    Args:
        uri: the tracking URI.
        act: what the call does, for the message: ``"write params"``.
        function: the call.

    Raises:
        TrackingError: the store does not answer, or the call failed.

    Example:
        >>> call("sqlite:///a-new-file.db", "add", lambda: 1 + 1)
        2
    """
    check_store(uri)
    for pause in (*_RETRIES, None):
        try:
            return function()
        except Exception as error:
            code = getattr(error, "error_code", "")
            if pause is None or code != "TEMPORARILY_UNAVAILABLE":
                shown = shown_uri(uri)
                reason = str(error).replace(uri, shown)  # no password in a message
                raise TrackingError(f"MLflow at {shown} could not {act}: {reason}", code) from error
            time.sleep(pause)
    raise AssertionError  # pragma: no cover


def is_server(uri: str) -> bool:
    """Tell whether a tracking URI is that of a server.

    Example:
        >>> is_server("https://mlflow.example.org"), is_server("sqlite:///mlflow.db")
        (True, False)
    """
    return urlsplit(uri).scheme in ("http", "https")


def post(uri: str, act: str, endpoint: str, body: Mapping[str, Any]) -> None:
    """Make one request of MLflow's REST API, once.

    MLflow's client would repeat it for four minutes, at ever longer intervals, and so come back
    late to a server that was away for seconds.

    Args:
        uri: the tracking URI of a server.
        act: what the request does, for the message.
        endpoint: ``"runs/log-batch"``.
        body: the request, as JSON values.

    Raises:
        TrackingError: the server does not answer, or refuses.

    Example:
        >>> post("http://127.0.0.1:5000", "tag", "runs/set-tag", {})  # doctest: +SKIP
    """
    from mlflow.exceptions import MlflowException, RestException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request_safe

    try:
        http_request_safe(  # type: ignore[no-untyped-call]
            get_default_host_creds(uri),  # type: ignore[no-untyped-call]
            f"/api/2.0/mlflow/{endpoint}",
            "POST",
            json=body,
            max_retries=0,
            timeout=_setting("MLFLOW_HTTP_REQUEST_TIMEOUT", _POST_TIMEOUT),
        )
    except Exception as error:
        code = error.error_code if isinstance(error, MlflowException) else ""
        if isinstance(error, RestException) or (code and code not in _NO_REFUSALS):
            text = f"MLflow at {shown_uri(uri)} could not {act}: {error}"
            raise TrackingError(text, code) from error
        raise _silence(uri, _reason(error)) from error


@contextmanager
def hasty(timeout: int = 3) -> Iterator[None]:
    """Let calls to a server that does not answer fail after one attempt.

    Args:
        timeout: seconds that an attempt takes at most.

    Example:
        >>> with hasty():
        ...     check_store("sqlite:///a-new-file.db")
    """
    settings = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout),
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def no_patience() -> Iterator[None]:
    """Let calls to a server that is known to be gone fail at once, and in silence.

    Example:
        >>> with no_patience():
        ...     raise OSError("gone")
    """
    with hasty(1), suppress(Exception):
        yield


def _check_server(uri: str, attempts: int | None) -> None:
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    if attempts is None:
        attempts = _setting("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _ATTEMPTS - 1) + 1
    timeout = _setting("MLFLOW_HTTP_REQUEST_TIMEOUT", _TIMEOUT)
    reason = ""
    host = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
    for attempt in range(attempts):
        if attempt:
            time.sleep(_PAUSE)
        try:
            response = http_request(  # type: ignore[no-untyped-call]
                host, "/health", "GET", max_retries=0, timeout=timeout, raise_on_status=False
            )
        except Exception as error:
            reason = _reason(error)
        else:
            if response.status_code < 500:
                return
            reason = f"status {response.status_code}"
    raise _silence(uri, reason)


def _silence(uri: str, reason: str) -> TrackingError:
    return TrackingError(
        f"the MLflow server {shown_uri(uri)} does not answer ({reason}): start it, correct "
        "MLFLOW_TRACKING_URI, or unset it to log to mlflow.db in the working folder",
        NO_ANSWER,
    )


def _reason(error: Exception) -> str:
    """Return the heart of what MLflow says, "[Errno 111] Connection refused"."""
    cause = error.__cause__ or error.__context__ or error
    inner = getattr(cause.args[0], "reason", cause) if cause.args else cause
    return str(inner).rpartition(": ")[2]


def _setting(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else default


def _check_sqlite(uri: str) -> None:
    path = Path(unquote(urlsplit(uri).path).removeprefix("/"))
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        if file.read(len(_SQLITE_MAGIC)) != _SQLITE_MAGIC:
            raise TrackingError(
                f"{path} is not an SQLite database, but the tracking URI is {uri}: correct "
                "MLFLOW_TRACKING_URI, or move the file away"
            )


def _check_database(uri: str, port: int) -> None:
    parts = urlsplit(uri)
    if not parts.hostname:
        return
    address = (parts.hostname, parts.port or port)
    try:
        socket.create_connection(address, _TIMEOUT).close()
    except OSError as error:
        raise TrackingError(
            f"the tracking database {shown_uri(uri)} does not answer ({error}): start it, or "
            "correct MLFLOW_TRACKING_URI",
            NO_ANSWER,
        ) from error
