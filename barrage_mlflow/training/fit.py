"""Feeds what was prepared to the loop over epochs, with the config's services."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
from fsspec.implementations.local import LocalFileSystem

from barrage_mlflow.config.import_blocks import AVERAGED
from barrage_mlflow.dataset.feeding.batches import Batches
from barrage_mlflow.dataset.records.files import list_files
from barrage_mlflow.distribution.group import ALONE, Group
from barrage_mlflow.errors import ComponentError, RecordError
from barrage_mlflow.model.class_weights import weigh_classes
from barrage_mlflow.services.best import BestCheckpoint
from barrage_mlflow.services.build import build_callbacks
from barrage_mlflow.services.checkpoint_file import Checkpoint
from barrage_mlflow.solver import build_learning_rate_reducer
from barrage_mlflow.training.epochs import run_epochs
from barrage_mlflow.training.prepare import Plan, Watch, build_feeder, unwatched
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.workspace import layout as artifacts

if TYPE_CHECKING:
    from barrage_mlflow.workspace.history import History

logger = logging.getLogger(__name__)

SERVICES = "services and learning rate reducer"
TRAIN = "the train batch"
VALIDATION = "the validation batch"


def fit(
    plan: Plan,
    folder: Path,
    history: History,
    callbacks: Sequence[keras.callbacks.Callback],
    checkpoint: Checkpoint | None,
    stop: StopRequest,
    watch: Watch = unwatched,
    group: Group = ALONE,
) -> BestCheckpoint:
    """Train the network of a plan.

    Args:
        plan: what was prepared.
        folder: the artifact folder.
        history: takes the metrics of each epoch.
        callbacks: further Keras callbacks; they come after the config's services.
        checkpoint: goes on from it; None to begin.
        stop: looked at between two batches.
        watch: called at each stage.
        group: the processes of the training; all of them call this alike.

    Returns:
        What has kept the best weights, and gives them to the network. In a group the chief's alone
        has any.

    Raises:
        ConfigError: a class_weight names a class of which there is no record.
        ComponentError: params that a callback refuses, or a component broke its contract.
        RecordError: a record cannot be fed to the network, or a file was changed meanwhile.
        TrainingError: the loss became NaN.
        KeyboardInterrupt: a stop was requested.

    Example:
        >>> best = fit(plan, folder, history, [], None, stop)  # doctest: +SKIP
        >>> best_epoch, network = best.restore()  # doctest: +SKIP
    """
    config, dataset, solver = plan.config, plan.config["dataset"], plan.config["solver"]
    watch(SERVICES)
    services = build_callbacks(config, folder)
    reducer = build_learning_rate_reducer(config)
    if any(isinstance(each, keras.callbacks.SwapEMAWeights) for each in callbacks):
        raise ComponentError(f"callbacks: {AVERAGED}; remove it")
    with build_feeder(config, folder / artifacts.CACHE) as feeder:
        watch(TRAIN)
        common = (plan.specs, solver["batch_size"], feeder)
        named: Any = {"ranges": plan.objective.ranges, "share": group.share}
        train = Batches(
            plan.sets["train"],
            plan.train,
            *common,
            seed=dataset["seed"],
            steps=solver.get("steps"),
            sample_count=dataset.get("sample_count"),
            **named,
        )
        logger.info("feeding: %s", train.plan)
        watch(VALIDATION)
        validation = Batches(plan.sets["validation"], plan.validation, *common, **named)
        next(iter(validation))  # what does not fit shows now, not at the end of an epoch
        watch(TRAIN)
        with stop.at_once():
            labels = plan.train.transformer.class_labels
            is_whole = plan.sets["train"].cut_at is None
            asked = plan.objective.outputs.values()
            plan.network.weigh = weigh_classes(asked, train.targets(), labels, is_whole)
        run_epochs(
            plan.network,
            train,
            validation,
            solver["epochs"],
            [_file_callback(plan), *services, *([reducer] if reducer else []), *callbacks],
            plan.objective,
            history,
            stop,
            checkpoint,
            solver.get("steps_per_execution"),
            group,
        )
    return next(callback for callback in services if isinstance(callback, BestCheckpoint))


def _file_callback(plan: Plan) -> keras.callbacks.Callback:
    """End the training when a file that is read in every epoch is not what it was."""
    streams = plan.config["dataset"].get("shuffle_window") is not None
    before: dict[Path, tuple[str, object]] = {}
    for records in (plan.sets["train"], plan.sets["validation"]):
        if streams and records.row_groups() is not None:
            files, path, names = list_files(records.source)
            if isinstance(files, LocalFileSystem):
                for name in names:
                    shown = records.source.rstrip("/") + name.removeprefix(path)
                    before[Path(name)] = shown, _state(Path(name))

    def check(epoch: int, logs: object) -> None:
        for path, (shown, state) in before.items():
            if _state(path) != state:
                raise RecordError(
                    f"{shown} was changed while it was trained on: leave the file as it is as "
                    "long as a training reads it, and train again"
                )

    return keras.callbacks.LambdaCallback(on_epoch_end=check)


def _state(path: Path) -> object:
    """What a change of a file changes; None if it is gone."""
    if not path.exists():
        return None
    state = path.stat()
    return state.st_size, state.st_mtime_ns
