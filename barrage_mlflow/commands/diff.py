"""Compares two configs: of files, artifact folders or MLflow runs."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from barrage_mlflow.config import read_config
from barrage_mlflow.config.resolve import find_shape_faults
from barrage_mlflow.config.schema import filled
from barrage_mlflow.errors import ArtifactError, BarrageError, ConfigError, TrackingError
from barrage_mlflow.tracking.store import Store
from barrage_mlflow.workspace import layout as artifacts

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_RUNS = "runs:/"


def load_config_for_diff(source: str | os.PathLike[str]) -> dict[str, Any]:
    """Load the resolved config behind one side of a comparison.

    Args:
        source: a config file, whose defaults are filled in; an artifact folder; or an MLflow
            run, as its ID or ``runs:/ID``. A file or folder comes before a run of that ID.

    Raises:
        ConfigError: the file cannot be read, or its keys and types have faults.
        ArtifactError: the folder has no resolved config.
        TrackingError: MLflow cannot be reached, or there is no such run, or none with a
            resolved config.

    Example:
        >>> load_config_for_diff("runs:/1f0c")["solver"]["epochs"]  # doctest: +SKIP
        10
    """
    name = os.fspath(source)
    if name.startswith(_RUNS) or (_RUN_ID.fullmatch(name) and not Path(name).exists()):
        return run_config(name.removeprefix(_RUNS).rstrip("/"))
    if Path(name).is_dir():
        path = Path(name, artifacts.RESOLVED_CONFIG)
        if not path.is_file():
            raise ArtifactError(
                f"{name}: has no {path.name}; expected the artifact folder of a training, a "
                "config file or an MLflow run"
            )
        return _resolved(path)
    document = read_config(name)
    # The project's code, which only training needs, may be elsewhere.
    faults = find_shape_faults(document)
    if faults:
        raise ConfigError(faults)
    return filled(document.data)


def run_config(run_id: str) -> dict[str, Any]:
    """Load the resolved config of an MLflow run from its artifacts.

    Args:
        run_id: the run's ID.

    Raises:
        TrackingError: MLflow cannot be reached, there is no such run, or it has no resolved
            config.

    Example:
        >>> run_config("1f0c")["solver"]["epochs"]  # doctest: +SKIP
        10
    """
    store = Store()
    run = store.read_run(run_id)
    name = artifacts.RESOLVED_CONFIG
    if name not in store.list_files(run_id):
        raise TrackingError(
            f"run {run_id} ({run.info.status}) has no {name}: barrage-mlflow stores it when a "
            "training begins"
        )
    with tempfile.TemporaryDirectory() as folder:
        local = store.fetch(run_id, name, folder)
        try:
            return _resolved(local)
        except BarrageError as error:
            place = f"{_RUNS}{run_id}/{name}"
            raise TrackingError(str(error).replace(str(local), place)) from None


def _resolved(path: Path) -> dict[str, Any]:
    # What another release resolved is compared as it is.
    data = read_config(path).data
    if not isinstance(data, dict):
        raise ArtifactError(f"{path}: expected a config, an object")
    return data
