"""An MLflow run as it is stored, to read from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from barrage_mlflow.errors import TrackingError
from barrage_mlflow.tracking.metrics import Point
from barrage_mlflow.tracking.server import call, shown_uri

if TYPE_CHECKING:
    from mlflow.entities import Run

_PROGRESS_BAR = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"


class StoredRun:
    """A run, as its store tells it.

    Args:
        run_id: the run's ID.
        uri: the tracking URI of the store; that of MLflow's settings, if left out.

    Attributes:
        run: what MLflow tells of it.

    Raises:
        TrackingError: MLflow cannot be reached, or there is no such run.

    Example:
        >>> StoredRun("1f0c").run.info.status  # doctest: +SKIP
        'FINISHED'
    """

    def __init__(self, run_id: str, uri: str | None = None) -> None:
        import mlflow
        from mlflow import MlflowClient

        self._uri = uri = uri or mlflow.get_tracking_uri()
        check_there(uri)
        self._client = call(uri, "open its store", lambda: MlflowClient(uri))
        try:
            self.run: Run = call(uri, f"read run {run_id!r}", lambda: self._client.get_run(run_id))
        except TrackingError as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise TrackingError(
                f"MLflow at {shown_uri(uri)} has no run {run_id!r}: correct the ID, or set "
                "MLFLOW_TRACKING_URI to the store that has it",
                error.error_code,
            ) from None

    def experiment(self) -> str:
        """Name of the experiment that the run is in.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        place = self.run.info.experiment_id
        found = call(self._uri, "read the experiment", lambda: self._client.get_experiment(place))
        return str(found.name)

    def files(self, folder: str | None = None) -> list[str]:
        """The paths of the artifacts in a folder among them; of the topmost, if left out.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        run_id = self.run.info.run_id
        act = f"list the files of run {run_id}"
        listed = call(self._uri, act, lambda: self._client.list_artifacts(run_id, folder))
        return [file.path for file in listed]

    def fetch(self, path: str, into: str | os.PathLike[str]) -> Path:
        """Copy an artifact, or a folder of them, into a local folder.

        Returns:
            Where it lies: at ``path`` within that folder.

        Raises:
            TrackingError: MLflow cannot be reached, or holds no such artifact.
        """
        run_id = self.run.info.run_id
        with _no_progress_bar():
            local = call(
                self._uri,
                f"fetch {path} of run {run_id}",
                lambda: self._client.download_artifacts(run_id, path, os.fspath(into)),
            )
        return Path(local)

    def history(self) -> dict[tuple[str, int], Point]:
        """Every metric at every step, by name and step; the last one where a step has several.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        run_id = self.run.info.run_id

        def read() -> dict[tuple[str, int], Point]:
            return {
                (name, point.step): Point(name, point.value, point.timestamp, point.step)
                for name in self.run.data.metrics
                for point in self._client.get_metric_history(run_id, name)
            }

        return call(self._uri, f"read the metrics of run {run_id}", read)


def check_there(uri: str) -> None:
    """Refuse a database file that is not there, which MLflow would make only to find no run.

    Args:
        uri: the tracking URI.

    Raises:
        TrackingError: it is that of a database file, which is not there.

    Example:
        >>> check_there("sqlite:///nowhere.db")
        Traceback (most recent call last):
        barrage_mlflow.errors.TrackingError: there is no MLflow store nowhere.db: run this where
        the runs were logged, or set MLFLOW_TRACKING_URI
    """
    parts = urlsplit(uri)
    path = Path(unquote(parts.path).removeprefix("/"))
    if parts.scheme == "sqlite" and parts.path.strip("/") and not path.exists():
        raise TrackingError(
            f"there is no MLflow store {path}: run this where the runs were logged, or set "
            "MLFLOW_TRACKING_URI"
        )


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    before = os.environ.get(_PROGRESS_BAR)
    os.environ[_PROGRESS_BAR] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PROGRESS_BAR]
        else:
            os.environ[_PROGRESS_BAR] = before
