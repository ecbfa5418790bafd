"""What a training writes down of itself, in its artifact folder and its MLflow run."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow import artifacts, tracking
from barrage_mlflow.config import Document, code_modules
from barrage_mlflow.dataset import Records
from barrage_mlflow.errors import ArtifactError, RecordError, describe_error
from barrage_mlflow.resuming import Earlier

if TYPE_CHECKING:
    import keras

Config = dict[str, Any]

logger = logging.getLogger(__name__)

_SUMMARY_WIDTH = 120


def begin(
    run: tracking.TrackedRun,
    folder: Path,
    document: Document,
    config: Config,
    earlier: Earlier | None,
    changes: Sequence[str],
) -> None:
    """Make the artifact folder and write down what is about to be trained.

    Args:
        run: the MLflow run.
        folder: the artifact folder.
        document: the config as given.
        config: the resolved config.
        earlier: what was begun there before, if anything was.
        changes: what has changed since.
    """
    logger.info("MLflow run %s of %s", run.run_id, run.tracking_uri)
    logger.info("artifacts in %s", folder)
    try:
        for part in (artifacts.MODEL, artifacts.CHECKPOINTS):
            (folder / part).mkdir(parents=True, exist_ok=True)
        _write_identity(run, folder)
        if earlier is None or earlier.config is None or changes:
            _write_recipe(folder, document, config)
    except OSError as error:
        raise ArtifactError(
            f"{folder}: the artifact folder cannot be made ({error}); name another one"
        ) from error
    project = Path(document.source).parent if document.source else Path.cwd()
    run.set_tags(tracking.environment_tags(project))
    if changes:
        run.set_tags({"barrage.resumed_anyway": "\n".join(changes)})
    run.log_params(tracking.flatten_config(config))


def _write_recipe(folder: Path, document: Document, config: Config) -> None:
    # The resolved config is the sign that all of it is whole: it goes first and comes last.
    (folder / artifacts.RESOLVED_CONFIG).unlink(missing_ok=True)
    suffix = Path(document.source).suffix or ".json"
    (folder / f"{artifacts.CONFIG}{suffix}").write_text(document.text, "utf-8")
    if (folder / artifacts.CODE).exists():
        shutil.rmtree(folder / artifacts.CODE)
    for path in project_code(config):
        copy = folder / artifacts.CODE / path.name
        if path.is_dir():
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            copy.parent.mkdir(exist_ok=True)
            shutil.copy2(path, copy)
    artifacts.write_json(folder / artifacts.RESOLVED_CONFIG, config)


def _write_identity(
    run: tracking.TrackedRun, folder: Path, records: Mapping[str, str] | None = None
) -> None:
    identity = {name: getattr(run, name) for name in ("run_id", "experiment_id", "tracking_uri")}
    path = folder / artifacts.RUN
    known = artifacts.read_json(path) or {}
    artifacts.write_json(path, {**known, **identity, **({"records": records} if records else {})})


def project_code(config: Config) -> list[Path]:
    """The files and folders of the project's own code that a resolved config leads to."""
    return [Path(path) for path in tracking.project_code(code_modules(config))]


def read_records(source: Any, name: str) -> Records:
    """Read a dataset.

    Raises:
        RecordError: it cannot be read, or is empty.
    """
    if isinstance(source, Records):
        return source
    records = Records.read(source, name=None if _is_path(source) else name)
    if not len(records):
        raise RecordError(f"{records.name} holds no records; give at least one")
    return records


def read_datasets(
    run: tracking.TrackedRun, folder: Path, sets: Mapping[str, Any], earlier: Earlier | None
) -> dict[str, Records]:
    """Read the datasets and name them as inputs of the run, unless it has them already."""
    read = {}
    for name, source in sets.items():
        records = read[name] = read_records(source, name)
        if earlier and earlier.records.get(name) == records.digest():
            continue
        run.log_dataset(
            name=name,
            context=name,
            digest=records.digest(),
            source=records.source,
            columns=records.dtypes(),
            rows=len(records),
        )
    _write_identity(run, folder, {name: records.digest() for name, records in read.items()})
    return read


def about(run: tracking.TrackedRun, config: Config, folder: Path) -> dict[str, Any]:
    """Say of a training what a resume checkpoint tells whoever finds it elsewhere."""
    known: dict[str, Any] = artifacts.read_json(folder / artifacts.RUN)
    return {**known, "config": config, "config_digest": artifacts.digest_of(config)}


def write_summary(network: keras.Model, path: Path) -> None:
    """Write the network's layers and shapes as a table."""
    lines: list[str] = []
    # Keras cuts the table off at the width of the terminal, whatever length it is asked for.
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(_SUMMARY_WIDTH)
    try:
        network.summary(print_fn=lambda line, **_: lines.append(line), line_length=_SUMMARY_WIDTH)
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    path.write_text("\n".join(lines) + "\n", "utf-8")


def log_artifacts(
    run: tracking.TrackedRun, folder: Path, failure: BaseException | None = None
) -> None:
    """Log whatever the artifact folder holds by now, the packaged model apart.

    After a failure what goes wrong here is a note on it, so that it does not hide it.
    """
    from barrage_mlflow.services import write_learning_curves

    if not folder.is_dir():
        return
    try:
        if (folder / artifacts.REPORT).exists():
            write_learning_curves(folder / artifacts.REPORT, folder / artifacts.LEARNING_CURVES)
        for path in sorted(folder.iterdir()):
            if path.name not in (artifacts.MODEL, artifacts.LOCK):
                run.log_artifact(path)
    except Exception as error:
        if failure is None:
            raise
        failure.add_note(f"besides: {describe_error(error)}")


def _is_path(source: Any) -> bool:
    return isinstance(source, str | os.PathLike)
