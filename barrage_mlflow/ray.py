"""Trains in several processes on a Ray cluster, which starts them again when one is lost."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from barrage_mlflow.commands.train import train
from barrage_mlflow.distribution.cluster import VARIABLE, read_cluster
from barrage_mlflow.errors import GroupError
from barrage_mlflow.scoring.tensorflow_alone import load_tensorflow
from barrage_mlflow.training.prepare import read_document
from barrage_mlflow.training.train import TrainingResult
from barrage_mlflow.workspace.threads import set_operation_threads

_GIVEN = ("AWS_", "AZURE_", "DATABRICKS_", "GOOGLE_", "MLFLOW_", "TF_")
"""What the names of variables begin with that the processes are given, logins among them."""
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
"""TensorFlow, which Ray loads first, writes of each connection that is made or breaks."""
_LEGACY = "TF_USE_LEGACY_KERAS"
"""Ray sets it; Keras 3 is not to be had with it."""


def train_on_ray(
    config: str | os.PathLike[str] | Mapping[str, Any],
    records_train: Any,
    records_validation: Any,
    *,
    storage: str | os.PathLike[str],
    workers: int = 2,
    cpus: int = 1,
    gpus: bool = False,
    max_failures: int = 3,
    **options: Any,
) -> TrainingResult:
    """Train one network in several processes of a Ray cluster, and package the best of it.

    Ray starts the processes, each of which trains its share of every batch; the first writes to
    ``storage`` and to MLflow. Where one is lost, with its machine or without, Ray starts all of
    them again, and they go on from the last resume checkpoint. Called again after it was stopped,
    it goes on likewise.

    Ray is what ``ray.init`` has connected to before; else that of ``RAY_ADDRESS``, or a new one on
    this machine. Variables ``MLFLOW_…``, ``TF_…`` and those of the large clouds reach all
    processes, and so does the working folder, where a machine has it. Each needs this package.

    Args:
        config: a JSON or YAML file that all machines see, or a dict.
        records_train: what :func:`barrage_mlflow.train` takes; a file is one that all machines see.
        records_validation: likewise.
        storage: the artifact folder, on a file system that all machines see.
        workers: how many processes.
        cpus: how many cores each takes; it computes on as many threads.
        gpus: whether each takes a GPU.
        max_failures: how often to start them again; -1 for always.
        options: further arguments of :func:`barrage_mlflow.train`, such as ``records_test``; not
            ``artifact_dir``, ``resume`` and ``progress``.

    Raises:
        GroupError: Ray is not installed, or processes were lost more often than that.
        Exception: whatever :func:`barrage_mlflow.train` raises; it is not tried again.

    Example:
        >>> result = train_on_ray(  # doctest: +SKIP
        ...     "config.json", "train.csv", "validation.csv", storage="/shared/out", workers=4
        ... )
        >>> result.metrics["val_loss"]  # doctest: +SKIP
        0.0813
    """
    read_document(config, options.get("overrides"))  # faults are found before Ray starts
    load_tensorflow()  # Ray loads it too, with its notes
    try:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.tensorflow import TensorflowTrainer
        from ray.train.v2.api.exceptions import TrainingFailedError
    except ImportError as error:
        raise GroupError(
            "a training on Ray needs Ray Train, which is not installed: "
            "pip install 'barrage-mlflow[ray]'"
        ) from error

    folder = Path(storage).absolute()
    call = partial(train, config, records_train, records_validation, artifact_dir=folder, **options)
    board = ray.remote(num_cpus=0)(_Board).remote()
    # Ray has nothing to keep: what the processes write is in the artifact folder.
    with tempfile.TemporaryDirectory() as nowhere:
        trainer = TensorflowTrainer(
            partial(_work, call, board, _environment(), Path.cwd(), cpus),
            scaling_config=ScalingConfig(
                num_workers=workers, use_gpu=gpus, resources_per_worker={"CPU": cpus}
            ),
            run_config=RunConfig(
                storage_path=nowhere,
                failure_config=FailureConfig(max_failures=max_failures),
                worker_runtime_env={"env_vars": _QUIET},
            ),
        )
        failure = None
        try:
            trainer.fit()
        except TrainingFailedError as error:
            failure = error
        except SystemExit:  # what Ray makes of it
            raise KeyboardInterrupt("SIGINT") from None
        outcome = ray.get(board.read.remote())
    if outcome is None:
        raise GroupError(
            f"processes of this training were lost more than {max_failures} times: see above what "
            "became of them, and go on with the same call"
        ) from failure
    result: TrainingResult | Exception = pickle.loads(outcome)
    if isinstance(result, Exception):
        raise result
    return result


class _Board:
    """An actor of Ray on which the processes leave what came of the training."""

    def __init__(self) -> None:
        self._outcome: bytes | None = None

    def write(self, outcome: bytes) -> None:
        """Leave it; the first counts."""
        self._outcome = self._outcome or outcome

    def read(self) -> bytes | None:
        return self._outcome


def _work(
    call: Callable[..., TrainingResult],
    board: Any,
    environment: Mapping[str, str],
    folder: Path,
    threads: int,
) -> None:
    """What each process does. Ray starts all again after an exception, whatever it is."""
    import ray
    from ray import cloudpickle

    if ray.get(board.read.remote()) is not None:
        return  # it was no accident
    os.environ.update(environment)
    os.environ.pop(_LEGACY, None)
    set_operation_threads(threads)
    with suppress(OSError):  # this machine has no such folder
        os.chdir(folder)
    try:
        # One that Ray has just ended may take a moment to leave the folder.
        outcome: Any = call(resume="auto")
    except GroupError:
        raise
    except Exception as error:
        ray.get(board.write.remote(cloudpickle.dumps(error)))
        raise
    if read_cluster()[1] == 0:
        ray.get(board.write.remote(cloudpickle.dumps(outcome)))


def _environment() -> dict[str, str]:
    taken = {VARIABLE, _LEGACY}
    return {n: text for n, text in os.environ.items() if n.startswith(_GIVEN) and n not in taken}
