"""A process that trains one trial after another, as the search tells it."""

from __future__ import annotations

import gc
import logging
import math
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.project import add_project_path
from barrage_mlflow.dataset import Records
from barrage_mlflow.errors import ArtifactError, TrackingError, TuningError, describe_error
from barrage_mlflow.training.prepare import read_sets
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.tuning.search_file import with_values
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.lock import locked
from barrage_mlflow.workspace.threads import set_operation_threads

if TYPE_CHECKING:
    import keras

    from barrage_mlflow.tracking.publisher import Publisher

_PATIENCE = 30
"""Seconds: the process that trained a trial before may take a moment to end."""
_OUTPUT = f"{artifacts.TRIALS}/workers.log"
"""What processes write to the terminal before they have a trial."""

Sets = Callable[[], Mapping[str, Records]]
"""Gives the records by name; they are read when they are first asked for."""


@dataclass(frozen=True)
class Job:
    """What a worker is to know of a search.

    Attributes:
        folder: of the search.
        document: the config that is varied, with all that was settled.
        sources: the records by set, whatever :meth:`Records.read` takes.
        metric: what a trial is judged by.
        fitted: where a transformer is kept that is the same for all trials; None if it is not.
        threads: for each operation of TensorFlow.
        request: what is asked of MLflow for each trial: experiment and tags.
        publisher: makes what writes to MLflow; None: nothing does.
        final: what is asked besides where the best trial is packaged: ``register``, ``alias`` and
            ``records_test``.
        resume_anyway: whether trials go on though code or records have changed.
    """

    folder: Path
    document: Document
    sources: Mapping[str, Any]
    metric: str
    fitted: Path | None
    threads: int
    request: Mapping[str, Any]
    publisher: Callable[[], Publisher] | None
    final: Mapping[str, Any]
    resume_anyway: bool


class Task(NamedTuple):
    """What a worker is to do.

    Attributes:
        number: of a trial, which it trains, or goes on with.
        values: what the trial puts in the config, by dotted path.
        is_best: whether it packages the trial's best weights besides.
    """

    number: int
    values: Mapping[str, Any]
    is_best: bool = False


@dataclass(frozen=True)
class Ending:
    """How a task ended.

    Attributes:
        value: of the metric; None if there is none.
        error: why not.
        is_over: whether the trial has ended with that; one that lacked MLflow or the disk has not.
    """

    value: float | None = None
    error: str | None = None
    is_over: bool = True


def folder_of(folder: Path, number: int) -> Path:
    """The artifact folder of a trial.

    Example:
        >>> folder_of(Path("out"), 7).as_posix()
        'out/trials/0007'
    """
    return folder / artifacts.TRIALS / f"{number:04d}"


def work(line: Connection) -> None:
    """Do the tasks that come in after the job, and answer each with its ending, until None comes.

    After each epoch of a trial its metric is sent as ``(epoch, value)``; the answer is whether the
    trial ends there.

    Args:
        line: to the process of the search, with which this one ends.
    """
    try:
        job: Job = line.recv()
    except (EOFError, ConnectionError):
        return
    _write_to(job.folder / _OUTPUT)
    set_operation_threads(job.threads)  # before TensorFlow is loaded
    search = multiprocessing.parent_process()
    threading.Thread(target=_watch, args=(search,), daemon=True).start()
    logging.getLogger("barrage_mlflow").setLevel(logging.ERROR)
    add_project_path(job.document)
    dataset, home = job.document.data["dataset"], job.document.folders[0]
    read = cache(partial(read_sets, job.sources, dataset, home))
    with StopRequest() as stop, suppress(KeyboardInterrupt, EOFError, ConnectionError):
        while (task := line.recv()) is not None:
            line.send(_do(job, read, task, line))
            stop.check()


def _do(job: Job, read: Sets, task: Task, line: Connection) -> Ending:
    """Do a task, however that ends."""
    import keras

    gc.freeze()  # what is loaded by now is not looked through after each trial
    try:
        return Ending(_train(job, read, task, line))
    except (Exception, SystemExit) as error:
        with suppress(OSError):  # the disk may be full, and be why
            traceback.print_exc()
        is_over = not isinstance(error, TrackingError | ArtifactError)
        return Ending(error=describe_error(error), is_over=is_over)
    finally:
        keras.backend.clear_session()  # it collects garbage too


def _train(job: Job, read: Sets, task: Task, line: Connection) -> float:
    """Train a trial, or go on with it; the metric at its best epoch."""
    from barrage_mlflow.training.train import train

    folder = folder_of(job.folder, task.number)
    with locked(folder, _PATIENCE):
        pass
    _write_to(folder.with_suffix(".log"))
    result = train(
        with_values(job.document, task.values),
        read()["train"],
        read()["validation"],
        artifact_dir=folder,
        resume=True,
        resume_anyway=job.resume_anyway,
        callbacks=[] if task.is_best else [_report(job.metric, line)],
        publisher=job.publisher() if job.publisher else None,
        packages=task.is_best,
        fitted=job.fitted,
        run_name=f"trial {task.number}",
        **job.request,
        **(job.final if task.is_best else {}),
    )
    value = result.metrics.get(job.metric)
    if value is None:
        raise TuningError(f"there is no {job.metric}; there are {', '.join(result.metrics)}")
    if not math.isfinite(value):
        raise TuningError(f"{job.metric} is {value} at the best epoch: expected a finite number")
    return value


def _report(metric: str, line: Connection) -> keras.callbacks.Callback:
    """Tell the search of each epoch, and end the trial if it says so."""
    import keras

    class TrialReport(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if metric not in logs:
                return
            try:
                line.send((epoch, float(logs[metric])))
                ends = line.recv()
                if ends is None:
                    raise EOFError
                self.model.stop_training |= ends
            except (EOFError, ConnectionError):
                # The search ends and has not taken the epoch down, which is trained again.
                raise KeyboardInterrupt from None

    return TrialReport()


def _write_to(path: Path) -> None:
    """Have what goes to the terminal go to a file, also what TensorFlow writes by itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    with path.open("a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)


def _watch(search: Any) -> None:
    """End this process in good order when that of the search has gone."""
    search.join()
    os.kill(os.getpid(), signal.SIGTERM)
