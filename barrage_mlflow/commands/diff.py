"""Compares two configs: of files, artifact folders or MLflow runs."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from barrage_mlflow.config import read_config
from barrage_mlflow.config.diff import Difference, diff_configs
from barrage_mlflow.config.document import Document
from barrage_mlflow.config.overrides import settle
from barrage_mlflow.config.paths import read_path, value_at
from barrage_mlflow.config.resolve import find_shape_faults
from barrage_mlflow.config.schema import filled
from barrage_mlflow.errors import ArtifactError, BarrageError, ConfigError, TrackingError
from barrage_mlflow.tracking.store import Store
from barrage_mlflow.workspace import layout as artifacts

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_RUNS = "runs:/"


def find_differences(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> list[Difference]:
    """Find how two configs differ, value by value.

    What a training settled by itself, such as the seed, is none from a file that leaves it out.

    Args:
        a: as :func:`load_side` takes it.
        b: likewise.

    Raises:
        As :func:`load_side`.

    Example:
        >>> print(*find_differences("config.json", "runs:/1f0c"))  # doctest: +SKIP
        $.solver.epochs: 3 → 20
    """
    (one, of_one), (other, of_other) = load_side(a), load_side(b)
    if of_one is None:
        one = settle(Document(one), of_other or {}).data
    if of_other is None:
        other = settle(Document(other), of_one or {}).data
    return diff_configs(one, other)


def load_side(source: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Load the resolved config behind one side of a comparison.

    Args:
        source: a config file, whose defaults are filled in; an artifact folder; or an MLflow
            run, as its ID or ``runs:/ID``. A file or folder comes before a run of that ID.

    Returns:
        The config; and of it what the training settled by itself, by path. None: of a file.

    Raises:
        ConfigError: the file cannot be read, or its keys and types have faults.
        ArtifactError: the folder has no resolved config.
        TrackingError: MLflow cannot be reached, or there is no such run, or none with a
            resolved config.

    Example:
        >>> load_side("runs:/1f0c")[1]  # doctest: +SKIP
        {'$.dataset.seed': 7}
    """
    name = os.fspath(source)
    if name.startswith(_RUNS) or (_RUN_ID.fullmatch(name) and not Path(name).exists()):
        return _load_run(name.removeprefix(_RUNS).rstrip("/"))
    if Path(name).is_dir():
        if not Path(name, artifacts.RESOLVED_CONFIG).is_file():
            raise ArtifactError(
                f"{name}: has no {artifacts.RESOLVED_CONFIG}; expected the artifact folder of a "
                "training, a config file or an MLflow run"
            )
        return _load_begun(Path(name))
    document = read_config(name)
    # The project's code, which only training needs, may be elsewhere.
    if faults := find_shape_faults(document):
        raise ConfigError(faults)
    return filled(document.data), None


def _load_run(run_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Load from the artifacts of an MLflow run."""
    store = Store()
    run = store.read_run(run_id)
    files = store.list_files(run_id)
    if artifacts.RESOLVED_CONFIG not in files:
        raise TrackingError(
            f"run {run_id} ({run.info.status}) has no {artifacts.RESOLVED_CONFIG}: "
            "barrage-mlflow stores it when a training begins"
        )
    with tempfile.TemporaryDirectory() as folder:
        for name in {artifacts.RESOLVED_CONFIG, artifacts.RUN}.intersection(files):
            store.fetch(run_id, name, folder)
        try:
            return _load_begun(Path(folder))
        except BarrageError as error:
            raise TrackingError(str(error).replace(folder, f"{_RUNS}{run_id}")) from None


def _load_begun(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    # What another release resolved is compared as it is.
    path = folder / artifacts.RESOLVED_CONFIG
    data = read_config(path).data
    if not isinstance(data, dict):
        raise ArtifactError(f"{path}: expected a config, an object")
    inferred = (artifacts.read_json(folder / artifacts.RUN) or {}).get("inferred", ())
    return data, {each: value_at(data, read_path(each)) for each in inferred}
