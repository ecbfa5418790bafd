"""What a training makes before its first epoch, and a dry run with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.dataset import (
    ArraySpec,
    DataRecord,
    Feeder,
    Pipeline,
    RecordMode,
    Records,
    TrainBatches,
    build_augmentors,
    fit_and_save,
    load_pipeline,
)
from barrage_mlflow.model import Objective
from barrage_mlflow.services import build_callbacks, check_monitors
from barrage_mlflow.solver import build_learning_rate_reducer, build_optimizer

if TYPE_CHECKING:
    import keras

Config = Mapping[str, Any]


def fit_pipelines(config: Config, records: Records, folder: Path) -> tuple[Pipeline, Pipeline]:
    """Fit the transformer, and load it again for training and for validation.

    Args:
        config: a resolved config.
        records: the train records.
        folder: new folder to save the transformer in.

    Raises:
        ImportPathError: a component is not to be found.
        ComponentError: a component does not take its params, or the transformer comes back
            from disk as another.
        Exception: whatever the transformer raises, with the stage as a note.
    """
    fit_and_save(config, records, folder)
    return load_pipelines(config, folder)


def load_pipelines(config: Config, folder: Path) -> tuple[Pipeline, Pipeline]:
    """Load a transformer that was fitted before, for training and for validation.

    Args:
        config: a resolved config.
        folder: where it was saved.

    Raises:
        As :func:`fit_pipelines`.
    """
    train = load_pipeline(config, RecordMode.TRAIN, folder, build_augmentors(config))
    return train, load_pipeline(config, RecordMode.VALIDATION, folder)


def build_objective(
    config: Config, network: keras.Model, network_params: Mapping[str, Any], example: DataRecord
) -> Objective:
    """Build losses and metrics, check them against targets and services, compile the network.

    Args:
        config: a resolved config.
        network: as :func:`~barrage_mlflow.model.build_network` gives it.
        network_params: the fitted transformer's.
        example: some transformed train records, ``(x, y)`` or ``(x, y, w)``.

    Raises:
        ConfigError: outputs, monitors or placeholders of the config do not fit the network.
        ImportPathError: a component is not to be found.
        ComponentError: targets or sample weights do not fit, or params are turned down.
    """
    objective = Objective(config, network, network_params)
    objective.check_targets(*example[1:])
    check_monitors(config, objective.monitors())
    objective.compile(network, build_optimizer(config), config["solver"].get("jit_compile", False))
    return objective


def build_feeder(config: Config, folder: Path) -> Feeder:
    """Make what feeds the network as the config says.

    Args:
        config: a resolved config.
        folder: where a cache on disk goes, as long as the training lasts.
    """
    dataset = config["dataset"]
    return Feeder(
        dataset.get("workers", 0), dataset.get("cache"), dataset.get("shuffle_window"), folder
    )


def train_batches(
    config: Config,
    records: Records,
    pipeline: Pipeline,
    specs: Mapping[str, ArraySpec],
    feeder: Feeder | None = None,
) -> TrainBatches:
    """Make the train batches that a config asks for.

    Args:
        config: a resolved config that has a seed.
        records: the train records.
        pipeline: in train mode.
        specs: of the network's inputs.
        feeder: where blocks are made and what is kept; left out, on this thread.

    Raises:
        RecordError: there are no records, or the sample counts are not usable.
    """
    dataset, solver = config["dataset"], config["solver"]
    return TrainBatches(
        records,
        pipeline,
        specs,
        solver["batch_size"],
        dataset["seed"],
        steps=solver.get("steps"),
        sample_count=dataset.get("sample_count"),
        feeder=feeder,
    )


def build_services(
    config: Config,
    folder: Path,
    about: Mapping[str, Any] | None = None,
    written: Callable[[Path], object] | None = None,
) -> list[keras.callbacks.Callback]:
    """Build the callbacks of services and solver, in the order in which they are called.

    Args:
        config: a resolved config.
        folder: the artifact folder.
        about: what the training says of itself in its resume checkpoints.
        written: called with each resume checkpoint that was written.

    Raises:
        ConfigError: the learning rate reducer has a key that it does not know.
        ComponentError: params that a callback turns down.
    """
    reducer = build_learning_rate_reducer(config)
    return [*build_callbacks(config, folder, about, written), *([reducer] if reducer else [])]
