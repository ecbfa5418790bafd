"""Finds the resolved config that stands behind a file, an artifact folder or an MLflow run."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from barrage_mlflow import artifacts
from barrage_mlflow.config import read_config
from barrage_mlflow.config.diff import read_for_diff
from barrage_mlflow.errors import ArtifactError, BarrageError, TrackingError
from barrage_mlflow.tracking.server import call, shown_uri

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_RUNS = "runs:/"
_PROGRESS_BAR = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"


def load_config_for_diff(source: str | os.PathLike[str]) -> dict[str, Any]:
    """Load the resolved config behind one side of a comparison.

    Args:
        source: a config file, whose defaults are filled in; an artifact folder; or an MLflow
            run, as its ID or ``runs:/ID``. A file or folder comes before a run of that ID.

    Raises:
        ConfigError: the file cannot be read, or its keys and types have faults.
        ArtifactError: the folder holds no resolved config.
        TrackingError: MLflow cannot be reached, or there is no such run, or none with a
            resolved config.

    Example:
        >>> load_config_for_diff("runs:/1f0c")["solver"]["epochs"]  # doctest: +SKIP
        10
    """
    name = os.fspath(source)
    if name.startswith(_RUNS):
        return run_config(name.removeprefix(_RUNS).rstrip("/"))
    if Path(name).is_dir():
        path = Path(name, artifacts.RESOLVED_CONFIG)
        if not path.is_file():
            raise ArtifactError(
                f"{name}: holds no {path.name}; expected the artifact folder of a training, a "
                "config file or an MLflow run"
            )
        return _resolved(path)
    if _RUN_ID.fullmatch(name) and not Path(name).exists():
        return run_config(name)
    return read_for_diff(name)


def run_config(run_id: str) -> dict[str, Any]:
    """Load the resolved config of an MLflow run from its artifacts.

    Args:
        run_id: the run's ID.

    Raises:
        TrackingError: MLflow cannot be reached, there is no such run, or it holds no resolved
            config.

    Example:
        >>> run_config("1f0c")["solver"]["epochs"]  # doctest: +SKIP
        10
    """
    import mlflow
    from mlflow import MlflowClient

    uri = mlflow.get_tracking_uri()
    _check_there(uri)
    client = call(uri, "open its store", lambda: MlflowClient(uri))
    try:
        run = call(uri, f"read run {run_id!r}", lambda: client.get_run(run_id))
    except TrackingError as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise TrackingError(
            f"MLflow at {shown_uri(uri)} has no run {run_id!r}: correct the ID, or set "
            "MLFLOW_TRACKING_URI to the store that has it",
            error.error_code,
        ) from None
    name = artifacts.RESOLVED_CONFIG
    listed = call(uri, f"list the files of run {run_id}", lambda: client.list_artifacts(run_id))
    if name not in [file.path for file in listed]:
        raise TrackingError(
            f"run {run_id} ({run.info.status}) holds no {name}: barrage-mlflow stores it when a "
            "training ends"
        )
    with tempfile.TemporaryDirectory() as folder, _no_progress_bar():
        local = call(
            uri,
            f"fetch {name} of run {run_id}",
            lambda: client.download_artifacts(run_id, name, folder),
        )
        try:
            return _resolved(Path(local))
        except BarrageError as error:
            raise TrackingError(str(error).replace(local, f"{_RUNS}{run_id}/{name}")) from None


def _resolved(path: Path) -> dict[str, Any]:
    # What another release resolved is compared as it stands.
    data = read_config(path).data
    if not isinstance(data, dict):
        raise ArtifactError(f"{path}: expected a config, an object")
    return data


def _check_there(uri: str) -> None:
    """Refuse a database file that is not there, which MLflow would make only to find no run."""
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
