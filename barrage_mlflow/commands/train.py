"""Trains with MLflow beside it: finds the folder to go on in, and brings the publisher."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.editor_schema import write_schema
from barrage_mlflow.dataset.components.reading import ask_kinds
from barrage_mlflow.distribution.cluster import VARIABLE
from barrage_mlflow.distribution.group import Group, join
from barrage_mlflow.errors import ArtifactError, TrackingError
from barrage_mlflow.scoring.dependencies import project_code
from barrage_mlflow.scoring.tensorflow_alone import load_tensorflow
from barrage_mlflow.tracking.checkpoint_slots import fetch_training
from barrage_mlflow.tracking.environment import environment_tags
from barrage_mlflow.tracking.publisher import Publisher
from barrage_mlflow.tracking.registry import check_alias, check_registrable
from barrage_mlflow.tracking.runs import ending_project_run
from barrage_mlflow.tracking.store import Store
from barrage_mlflow.training import train as recipe
from barrage_mlflow.training.prepare import read_document, read_sets, resolve
from barrage_mlflow.training.settled import describe_sets, find_inferred
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.training.train import TrainingResult
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.changes import find_changes
from barrage_mlflow.workspace.find import find_run, find_unfinished
from barrage_mlflow.workspace.lock import locked
from barrage_mlflow.workspace.record import read_record

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)

_HOME = Path(artifacts.HOME)
_PATIENCE = 30
"""Seconds: a supervisor may start again before the process that it stopped is gone."""


def train(
    config: str | os.PathLike[str] | Mapping[str, Any],
    records_train: Any,
    records_validation: Any,
    *,
    records_test: Any = None,
    artifact_dir: str | os.PathLike[str] | None = None,
    experiment: str | None = None,
    run_name: str | None = None,
    register: str | None = None,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: TextIO | None = None,
    resume: bool | str = False,
    resume_anyway: bool = False,
    offline: bool = False,
) -> TrainingResult:
    """Train a network as a config says, in one MLflow run, and package the best of it.

    The first SIGTERM or Ctrl-C ends the training between two batches, with a resume checkpoint of
    that moment and the run KILLED. An MLflow server that goes away once the training has begun
    does not stop it: what the server lacks is sent when it is back, or by :func:`sync` later.

    Args:
        config: a JSON or YAML file, or a dict.
        records_train: whatever :meth:`Records.read` takes: a DataFrame, dicts or a file.
        records_validation: likewise.
        records_test: likewise; the packaged model is evaluated on them too, and nothing depends on
            them.
        artifact_dir: a new or empty folder; ``artifacts/<time>-<8 hex digits>`` if left out.
        experiment: MLflow experiment, made if it is not there.
        run_name: name of the MLflow run.
        register: registered model to add the packaged model to, as a new version.
        alias: alias of the registered model that leads to the new version from then on.
        tags: tags of the MLflow run.
        overrides: config values by dotted path, ``{"solver.epochs": 3}``.
        callbacks: further Keras callbacks; they come after the config's services.
        progress: where to show epochs, metrics and the time left; nowhere if left out.
        resume: go on with the training in the artifact folder, in its MLflow run, as if it had
            never stopped; start one if there is none. A finished one is left as it is, but for
            what ``register`` and ``alias`` ask for. ``"auto"`` without a folder: go on with the
            newest unfinished one of this config and these records in ``artifacts``, and wait half
            a minute for another process to leave it. The id of an MLflow run: go on with that one,
            from the resume checkpoint among its artifacts unless the artifact folder has it
            already.
        resume_anyway: resume also where the config, the code or the records have changed since.
        offline: do without MLflow; :func:`sync` logs the run later.

    Raises:
        ConfigError: with every fault of the config; no run is opened.
        ArtifactError: the artifact folder is in use, cannot be written to or its disk is full, or
            what was begun in it has changed since.
        RecordError: records cannot be read, loaded or fed to the network.
        ComponentError: a component broke its contract.
        TrackingError: MLflow cannot be reached, or refuses the name to register or the alias, or
            there is an alias and nothing to register.
        TrainingError: the loss became NaN, or there was no best epoch.
        Exception: whatever the project's own components raise, with the place as a note.

    Example:
        >>> result = train(  # doctest: +SKIP
        ...     "config.json", "train.csv", "validation.csv", overrides={"solver.epochs": 3}
        ... )
        >>> result.metrics["val_loss"]  # doctest: +SKIP
        0.0813
    """
    folder = None if artifact_dir is None else Path(artifact_dir)
    if folder is None and (resume is True or (resume_anyway and not resume)):
        raise ArtifactError(
            "resume needs an artifact_dir (--artifact-dir): the folder of the training"
        )
    with StopRequest() as stop, ending_project_run():
        with stop.at_once():
            # The config first: MLflow takes seconds to load.
            document = read_document(config, overrides)
            group = join_others()
        if not group.is_chief:
            return recipe.follow(group, document, records_train, records_validation)
        with stop.at_once():
            if folder is not None and not (resume or resume_anyway):
                artifacts.check_free(folder)
            write_schema(document)
            check_request(register, alias, offline)
            if resume == "auto":
                sources = {"train": records_train, "validation": records_validation}
                sets = read_sets(sources, document.data["dataset"], document.folders[0])
                records_train, records_validation = sets["train"], sets["validation"]
                folder = folder or _find_unfinished(document, sets)
                if folder is not None:
                    with locked(folder, _PATIENCE):
                        pass  # another process may have to leave it first
            elif isinstance(resume, str):
                folder = _find_or_fetch(resume, folder)
        processes = {"barrage.processes": str(group.count)}
        return recipe.train(
            document,
            records_train,
            records_validation,
            records_test=records_test,
            artifact_dir=folder,
            resume=bool(resume),
            resume_anyway=resume_anyway,
            callbacks=callbacks,
            progress=progress,
            publisher=None if offline else Publisher(),
            tags={**(tags or {}), **environment_tags(document.folders[0]), **processes},
            group=group,
            experiment=experiment,
            run_name=run_name,
            register=register,
            alias=alias,
        )


def join_others() -> Group:
    """Meet the other processes of this training, if ``TF_CONFIG`` names any."""
    if os.environ.get(VARIABLE):
        # TensorFlow writes of each connection that breaks; so does the error that comes.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        load_tensorflow(with_keras=True)
    return join()


def check_request(register: str | None, alias: str | None, offline: bool) -> None:
    """Find what MLflow would refuse, before anything is begun."""
    Path.home()  # MLflow, which packages the model offline too, does not load without one
    if not offline:
        Store()
    if alias is not None:
        check_alias(alias)
        if register is None:
            raise TrackingError(
                f"the alias {alias!r} needs a registered model: name one by register "
                "(--register NAME), or leave the alias out"
            )
    if register is not None and not offline:
        check_registrable(register)


def _find_unfinished(document: Document, sets: Mapping[str, Any]) -> Path | None:
    """Find the folder of the newest unfinished training of a config, its code and records."""
    datasets = describe_sets(ask_kinds(resolve(document, {}), sets, document))
    for folder in find_unfinished(_HOME):
        resolved = resolve(document, find_inferred(folder))
        if not find_changes(folder, resolved, project_code(resolved), datasets):
            return folder
    return None


def _find_or_fetch(run_id: str, folder: Path | None) -> Path:
    """Find the folder of a run, or fetch its newest resume checkpoint into one."""
    folder = folder or find_run(_HOME, run_id) or artifacts.default_folder()
    record = read_record(folder)
    if record is None:
        fetch_training(run_id, folder)
    elif record.run_id != run_id:
        raise ArtifactError(
            f"{folder} has the run {record.run_id}, not {run_id}: name another folder"
        )
    return folder
