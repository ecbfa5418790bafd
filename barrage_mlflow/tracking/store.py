"""MLflow's tracking store: whether it answers, and calls to it whose errors say what to do.

By MLflow's own settings one call to a server that is gone takes four minutes to fail. Fewer
repetitions, and a short question when a call has failed, make that seconds.
"""

from __future__ import annotations

import fcntl
import os
import posixpath
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

from barrage_mlflow.errors import TrackingError
from barrage_mlflow.files import written_whole

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

P = ParamSpec("P")
T = TypeVar("T")

NO_ANSWER = "NO_ANSWER"
"""The code of our own errors where MLflow gives none because its store does not answer."""

_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_SETTINGS = {
    _TIMEOUT: "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""What MLflow is set to in this process, but for what the user has set."""
_ANSWER = 3
"""Seconds within which a server must say that it is there, unless the user has set a timeout."""
_UPLOADS = 8
"""Files that are sent at once: a server that is far away takes most of its time for the way."""

_PASSING = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR")
"""MLflow's codes for a database that was busy, and for a request that was not answered."""
_EXISTS, _TWICE = "RESOURCE_ALREADY_EXISTS", "unique constraint"
"""What MLflow and databases call what another process has just made."""
_PAUSES = (0.2, 1.0, 3.0)
"""Seconds before a call is made again."""


class Store:
    """The tracking store that MLflow's settings name.

    Attributes:
        uri: its URI, as it is set, with what secrets it has.
        client: MLflow's client of it.

    Raises:
        TrackingError: it does not answer, or is not a store.

    Example:
        >>> Store().read_run("1f0c").info.status  # doctest: +SKIP
        'FINISHED'
    """

    def __init__(self) -> None:
        import mlflow
        from mlflow import MlflowClient

        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        self.uri = mlflow.get_tracking_uri()
        check_store(self.uri)
        with _alone_in(self.uri):
            _make_database(self.uri)
            self.client = self.call("open its store", MlflowClient, self.uri)

    def call(self, act: str, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Make one call to MLflow.

        Args:
            act: what the call does, for the message: ``"write params"``.
            function: the call.
            *args: what it is given.
            **options: likewise, by name.

        Raises:
            TrackingError: the store does not answer, or the call failed.
        """
        for pause in (*_PAUSES, None):
            try:
                return function(*args, **options)
            except Exception as error:
                code = getattr(error, "error_code", "")
                # MLflow itself asks a server again; not where two processes made the same row.
                passes = code in _PASSING and not is_server(self.uri)
                is_twice = code == _EXISTS or _TWICE in str(error).lower()
                if pause is None or not (passes or is_twice):
                    raise self._explained(act, error, code) from error
                time.sleep(pause)
        raise AssertionError  # pragma: no cover

    def _explained(self, act: str, error: Exception, code: str) -> TrackingError:
        if code in ("", *_PASSING):
            try:
                check_store(self.uri)
            except TrackingError as silence:
                return silence
        return TrackingError(f"MLflow at {self.uri} could not {act}: {error}", code)

    def read_run(self, run_id: str) -> Run:
        """Read a run.

        Raises:
            TrackingError: the store does not answer, or has no such run.
        """
        try:
            return self.call(f"read run {run_id!r}", self.client.get_run, run_id)
        except TrackingError as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise TrackingError(
                f"MLflow at {self.uri} has no run {run_id!r}: correct the ID, or set "
                "MLFLOW_TRACKING_URI to the store that has it",
                error.error_code,
            ) from None

    def read_metrics(self, run: Run) -> list[Metric]:
        """Read every value of every metric of a run.

        Raises:
            TrackingError: the store does not answer.
        """
        run_id, read = run.info.run_id, self.client.get_metric_history
        act = f"read the metrics of run {run_id}"
        return [
            metric for name in run.data.metrics for metric in self.call(act, read, run_id, name)
        ]

    def list_files(self, run_id: str, folder: str | None = None) -> list[str]:
        """List the paths of the artifacts in a folder among them; of the topmost, if left out.

        Raises:
            TrackingError: the store does not answer.
        """
        act = f"list the files of run {run_id}"
        return [file.path for file in self.call(act, self.client.list_artifacts, run_id, folder)]

    def fetch(self, run_id: str, path: str, into: str | os.PathLike[str]) -> Path:
        """Copy an artifact, or a folder of them, into a local folder.

        Returns:
            Where it is: at ``path`` within that folder.

        Raises:
            TrackingError: the store does not answer, or has no such artifact.
        """
        act = f"fetch {path} of run {run_id}"
        fetch = self.client.download_artifacts
        return Path(self.call(act, fetch, run_id, path, os.fspath(into)))

    def send(self, log: Callable[[str, str | None], object], files: Mapping[str, Path]) -> None:
        """Copy files to the artifacts of a run or of a logged model, several at once.

        Args:
            log: copies one of them: a local path, and the folder among the artifacts.
            files: the local files by their paths among the artifacts; they keep their names.

        Raises:
            TrackingError: the store does not answer, or cannot store them.
        """

        def send_all() -> None:
            with ThreadPool(_UPLOADS) as pool:
                folders = [posixpath.dirname(name) or None for name in files]
                pool.starmap(log, zip(map(str, files.values()), folders, strict=True), chunksize=1)

        if files:
            self.call(f"store {', '.join([*files][:3])}{' …' * (len(files) > 3)}", send_all)

    def delete_files(self, run: Run, folder: str) -> None:
        """Delete a folder of artifacts of a run, if the store can do that."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        repository = get_artifact_repository(run.info.artifact_uri, tracking_uri=self.uri)
        with suppress(Exception):
            repository.delete_artifacts(folder)  # type: ignore[no-untyped-call]


def files_in(folder: Path, *patterns: str) -> dict[str, Path]:
    """The files in a folder that match a pattern, by their paths there.

    Links are left out: a folder of somebody else's may have one to a file that is not to be sent.
    """
    home = folder.resolve()
    paths = (path for pattern in patterns for path in home.glob(pattern))
    return {
        path.relative_to(home).as_posix(): path
        for path in paths
        if path.is_file() and path.resolve() == path
    }


def is_server(uri: str) -> bool:
    """Whether a tracking URI is that of a server.

    Example:
        >>> is_server("https://mlflow.example.org"), is_server("sqlite:///mlflow.db")
        (True, False)
    """
    return urlsplit(uri).scheme in ("http", "https")


def check_store(uri: str) -> None:
    """Check that a tracking server answers; other stores are left to MLflow.

    It is asked as often as MLflow is set to (``MLFLOW_HTTP_REQUEST_MAX_RETRIES``). Any answer will
    do: one that asks for a login is MLflow's to explain.

    Args:
        uri: the tracking URI.

    Raises:
        TrackingError: it does not answer.

    Example:
        >>> check_store("sqlite:///a-new-file.db")
    """
    if not is_server(uri):
        return
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    timeout = os.environ.get(_TIMEOUT, _SETTINGS[_TIMEOUT])
    try:
        response = http_request(  # type: ignore[no-untyped-call]
            get_default_host_creds(uri),  # type: ignore[no-untyped-call]
            "/health",
            "GET",
            backoff_factor=1,
            timeout=_ANSWER if timeout == _SETTINGS[_TIMEOUT] else int(timeout),
            raise_on_status=False,
        )
    except Exception as error:
        reason = _heart_of(error)
    else:
        if response.status_code < 500:
            return
        reason = f"status {response.status_code}"
    raise TrackingError(
        f"the MLflow server {uri} does not answer ({reason}): start it, correct "
        "MLFLOW_TRACKING_URI, or unset it to log to mlflow.db in the working folder",
        NO_ANSWER,
    )


def _heart_of(error: Exception) -> str:
    """Return what counts in MLflow's message, "[Errno 111] Connection refused"."""
    cause = error.__cause__ or error.__context__ or error
    inner = getattr(cause.args[0], "reason", cause) if cause.args else cause
    return str(inner).rpartition(": ")[2]


@contextmanager
def _alone_in(uri: str) -> Iterator[None]:
    """Keep other trainings from an SQLite database: two that make its tables at once break it."""
    path = _database(uri)
    if path is None:
        yield
        return
    opened = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _make_database(uri: str) -> None:
    """Make an SQLite database that is not there whole: one that is killed meanwhile is none."""
    from mlflow import MlflowClient

    path = _database(uri)
    if path is None or path.exists():
        return
    with suppress(Exception), written_whole(path) as partial:  # what is wrong shows later
        start = uri.rindex("/") + 1
        MlflowClient(uri[:start] + partial.name.removesuffix(path.name) + uri[start:])


def _database(uri: str) -> Path | None:
    """The file of an SQLite database in a folder that is there; None of any other store."""
    parts = urlsplit(uri)
    path = Path(unquote(parts.path).removeprefix("/"))
    is_file = parts.scheme.startswith("sqlite") and path.name not in ("", ":memory:")
    return path if is_file and path.parent.is_dir() else None
