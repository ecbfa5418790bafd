"""The training loop.

It does what ``keras.Model.fit`` does, on public Keras calls: same order of callbacks, same
metrics and same weights to the last bit. It differs where Barrage needs more: many steps run
in one call of TensorFlow, yet each reports its own loss; the other metrics are computed once an
epoch; ``on_train_end`` reaches every callback also when training breaks off; and a training
goes on from a resume checkpoint, also within an epoch, as if it had never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, Protocol

import keras
import numpy as np

from barrage_mlflow.dataset import Blocks, cut, length
from barrage_mlflow.errors import ComponentError, TrainingError, describe_error
from barrage_mlflow.services import Checkpoint, ResumeCheckpoint
from barrage_mlflow.training.batch_hooks import BatchHooks
from barrage_mlflow.training.steps import Pace, Steps
from barrage_mlflow.workspace.history import History

if TYPE_CHECKING:
    from barrage_mlflow.dataset import DataRecord
    from barrage_mlflow.model import Objective

Logs = dict[str, float]


class Epochs(Protocol):
    """The train records of every epoch, in the form of :class:`Batches`.

    Attributes:
        steps: batches in an epoch.
        batch_size: records in a batch.
    """

    steps: int
    batch_size: int

    def epoch(self, epoch: int, start: int = 0) -> Iterator[DataRecord]:
        """Give the blocks of one epoch, from the batch ``start`` on."""


class Stop(Protocol):
    """Whether the training is to end between two batches.

    Attributes:
        requested: why, such as ``"SIGTERM"``; None to go on.
    """

    requested: str | None


def fit(
    network: keras.Model,
    train: Epochs,
    validation: Iterable[DataRecord],
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback],
    objective: Objective,
    history: History,
    resume: Checkpoint | None = None,
    steps_per_execution: int | None = None,
    stop: Stop | None = None,
) -> None:
    """Train a compiled network.

    Callbacks are called in their order, the resume checkpoint after all others. Batches run
    many in one call of TensorFlow, and their hooks are called after it, batch by batch; a callback
    that must see the network after every batch has it so (see :class:`BatchHooks`). At a batch's
    end their logs have ``loss``, its mean over the epoch so far; at an epoch's end every
    train metric, every validation metric as ``val_…``, and ``learning_rate``: the one in force
    at the end of the epoch, before a learning rate reducer changes it (with a schedule, the
    one of the next step). The history has them before a checkpoint of the epoch is written.

    Args:
        network: a functional network, dict in and dict out, compiled by ``objective``.
        train: blocks of ``(x, y)`` or ``(x, y, w)``, dicts of arrays ``(records, …)``.
        validation: likewise; gone through after each epoch.
        epochs: how many epochs to train in all, those before ``resume`` included.
        callbacks: Keras callbacks.
        objective: fits targets and sample weights to the losses.
        history: gets the metrics of each epoch; it loses those of epochs after ``resume``.
        resume: a checkpoint to go on from.
        steps_per_execution: how many batches to run in one call of TensorFlow; found by
            measuring if left out. What is trained does not depend on it.
        stop: looked at between two calls.

    Raises:
        ComponentError: a metric gives more than one number.
        RecordError: a batch differs from the first in type or number of dimensions.
        ArtifactError: ``resume`` is of another network or of other callbacks.
        TrainingError: the loss became NaN or infinite, with epoch and batch, counted from 1.
        Exception: whatever a callback or component raises. Every callback's ``on_train_end``
            was called by then.
        KeyboardInterrupt: likewise; where ``stop`` requested it, with a resume checkpoint.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from types import SimpleNamespace
        >>> x = keras.Input((2,), name="x")
        >>> network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(x)})
        >>> network.compile("sgd", loss={"y": "mse"})
        >>> batch = ({"x": np.ones((4, 2), "float32")}, {"y": np.ones((4, 1), "float32")})
        >>> train = SimpleNamespace(
        ...     steps=1, batch_size=4, epoch=lambda epoch, start=0: iter([batch])
        ... )
        >>> objective = SimpleNamespace(conform=lambda y, w: (y, w))
        >>> with TemporaryDirectory() as folder:
        ...     history = History(Path(folder, "metrics.jsonl"))
        ...     fit(network, train, [batch], 2, [], objective, history)
        >>> [list(epoch.metrics) for epoch in history.epochs()]
        [['loss', 'val_loss', 'learning_rate'], ['loss', 'val_loss', 'learning_rate']]
    """
    first_epoch, first_batch = (resume.epochs, resume.batch) if resume else (0, 0)
    if len(history.epochs()) > first_epoch:
        history.cut(first_epoch)
    # The resume checkpoint writes what the others became.
    ordered = sorted(callbacks, key=lambda callback: isinstance(callback, ResumeCheckpoint))
    callback_list = keras.callbacks.CallbackList(
        ordered,
        add_history=True,
        model=network,
        epochs=epochs,
        steps=train.steps,
        verbose=0,
    )
    network.stop_training = False
    done = first_epoch * train.steps + first_batch
    loop = _Loop(network, callback_list, objective, train, steps_per_execution, stop, done)
    try:
        if first_epoch < epochs:
            blocks = loop.prepare(first_epoch, first_batch)
        callback_list.on_train_begin()
        if first_batch:
            callback_list.on_epoch_begin(first_epoch)
        if resume:
            resume.restore(network, ordered)
        for epoch in range(first_epoch, epochs):
            batch = first_batch if epoch == first_epoch else 0
            if network.stop_training and not batch:
                break
            if epoch > first_epoch:
                blocks = train.epoch(epoch)
            logs = loop.train_epoch(epoch, batch, blocks)
            logs |= {f"val_{name}": value for name, value in loop.validate(validation).items()}
            logs["learning_rate"] = _learning_rate(network)
            history.add(epoch + 1, logs)
            callback_list.on_epoch_end(epoch, logs)
        network.optimizer.finalize_variable_values(network.trainable_variables)
    except BaseException as failure:
        loop.end_callbacks(failure)
        raise
    known = history.epochs()
    callback_list.on_train_end(dict(known[-1].metrics) if known else None)


class _Phase(NamedTuple):
    """Training or validation: its steps, the hooks of its batches, and how many run at once."""

    steps: Steps
    hooks: BatchHooks
    pace: Pace


class _Loop:
    """A training under way: the network, its traced steps and who is called meanwhile."""

    def __init__(
        self,
        network: keras.Model,
        callbacks: keras.callbacks.CallbackList,
        objective: Objective,
        train: Epochs,
        steps_per_execution: int | None,
        stop: Stop | None,
        done: int,
    ) -> None:
        self._network = network
        self._callbacks = callbacks
        self._objective = objective
        self._epochs = train
        self._stop = stop
        self._checkpoint = _resume_checkpoint(callbacks.callbacks)
        hooks = BatchHooks(callbacks.callbacks, "train")
        periods = hooks.periods
        if self._checkpoint:
            self._checkpoint.begin(callbacks.callbacks, train.steps)
            if self._checkpoint.every_steps:
                periods = [*periods, self._checkpoint.every_steps]
        pace = Pace(steps_per_execution, periods, done)
        self._train = _Phase(Steps(network, "train", train.batch_size), hooks, pace)
        hooks = BatchHooks(callbacks.callbacks, "test")
        pace = Pace(steps_per_execution, hooks.periods)
        self._test = _Phase(Steps(network, "validation", train.batch_size), hooks, pace)
        self._testing = False

    def prepare(self, epoch: int, batch: int) -> Iterator[DataRecord]:
        """Make the variables of metrics and optimizer, which Keras makes when they are first used.

        They must be there before the step is traced and before a checkpoint is restored.

        Returns:
            The blocks of the epoch from the batch on.
        """
        blocks = self._epochs.epoch(epoch, min(batch, self._epochs.steps - 1))
        first = next(blocks)
        _build(self._network, self._conform(cut(first, 0, self._epochs.batch_size)))
        return _again(first, blocks)

    def train_epoch(self, epoch: int, batch: int, blocks: Iterator[DataRecord]) -> Logs:
        """Train an epoch, of which so many batches were trained before."""
        network, steps = self._network, self._epochs.steps
        if not batch:
            network.reset_metrics()
            self._callbacks.on_epoch_begin(epoch)
        with closing(Blocks(blocks)) as records:
            while batch < steps and not network.stop_training:
                losses = self._run(self._train, records, batch)
                if losses is None:
                    break
                finite = np.isfinite(losses)
                count = len(losses) if finite.all() else int(finite.argmin())
                self._train.hooks.end(batch, losses[:count])
                if count < len(losses):
                    raise _lost(epoch, batch + count, losses[count])
                batch += count
                if self._checkpoint:
                    self._checkpoint.reach(epoch * steps + batch, epoch)
        return _results(network)

    def validate(self, blocks: Iterable[DataRecord]) -> Logs:
        """Go through all records without learning from them."""
        network, batch = self._network, 0
        if self._checkpoint:
            self._checkpoint.before_validation()
        network.stop_evaluating = False
        self._testing = True
        self._callbacks.on_test_begin()
        network.reset_metrics()
        with closing(Blocks(blocks)) as records:
            while not network.stop_evaluating:
                losses = self._run(self._test, records, batch)
                if losses is None:
                    break
                self._test.hooks.end(batch, losses)
                batch += len(losses)
        results = _results(network)
        self._callbacks.on_test_end(results)
        self._testing = False
        return results

    def _run(self, phase: _Phase, records: Blocks, batch: int) -> np.ndarray | None:
        """Run batches from this one on, in one call; their losses, or None if none is left."""
        self._look_for_stop()
        began = time.perf_counter()
        data = records.take(phase.pace.steps(batch) * self._epochs.batch_size)
        if data is None:
            return None
        phase.hooks.begin(batch)
        losses = self._losses(phase.steps, data)
        phase.pace.measure(len(losses), time.perf_counter() - began, data)
        return losses

    def _look_for_stop(self) -> None:
        if self._stop is None or not self._stop.requested:
            return
        interruption = KeyboardInterrupt(self._stop.requested)
        try:
            if self._checkpoint:
                self._checkpoint.save()
        except Exception as error:
            interruption.add_note(
                f"then the resume checkpoint could not be written: {describe_error(error)}"
            )
        raise interruption

    def end_callbacks(self, failure: BaseException) -> None:
        """Let every callback close its files; what breaks then is added to the failure."""
        for callback in self._callbacks.callbacks:
            try:
                if self._testing:
                    callback.on_test_end({})
                callback.on_train_end(None)
            except Exception as error:
                failure.add_note(
                    f"then {type(callback).__name__}.on_train_end raised "
                    f"{type(error).__name__}: {error}"
                )

    def _losses(self, steps: Steps, data: DataRecord) -> np.ndarray:
        conformed = self._conform(data)
        lengths = {len(array) for part in conformed for array in part.values()}
        if len(lengths) == 1:
            return steps(conformed)
        # The weights of a loss that joins the records of a batch are one to the batch.
        size = self._epochs.batch_size
        batches = [cut(data, start, start + size) for start in range(0, length(data), size)]
        return np.concatenate([steps(self._conform(batch)) for batch in batches])

    def _conform(self, data: DataRecord) -> DataRecord:
        y, w = self._objective.conform(data[1], data[2] if len(data) > 2 else None)
        return (data[0], y) if w is None else (data[0], y, w)


def _resume_checkpoint(
    callbacks: Iterable[keras.callbacks.Callback],
) -> ResumeCheckpoint | None:
    found = (callback for callback in callbacks if isinstance(callback, ResumeCheckpoint))
    return next(found, None)


def _build(network: keras.Model, data: DataRecord) -> None:
    # Nothing that the network would change of itself in this call is changed.
    with keras.StatelessScope():
        outputs = network(data[0], training=False)
    x, y, w = (*data, None)[:3]
    results = network.compute_metrics(x, y, outputs, sample_weight=w)
    network.compute_loss(x, y, outputs, w, training=False)
    network.reset_metrics()
    for name, value in results.items():
        shape = tuple(np.shape(value))
        if shape:
            raise ComponentError(
                f"metric {name!r}: expected one number, got an array of shape {shape}; "
                "a metric that keeps classes apart needs a param that joins them, "
                'such as "average": "macro"'
            )
    if not network.optimizer.built:
        network.optimizer.build(network.trainable_variables)


def _lost(epoch: int, batch: int, loss: float) -> TrainingError:
    """Once a weight is NaN, all of them soon are: nothing that follows is worth its time."""
    remedy = (
        "try a smaller solver.optimizer.learning_rate, or clipnorm in solver.optimizer.params, "
        "and look for extreme values in the records"
    )
    if epoch == batch == 0:
        remedy = (
            "no update was made yet, so look at the inputs, targets and sample weights of that "
            "batch, and whether the network's last activation suits the loss"
        )
    return TrainingError(
        f"epoch {epoch + 1}, batch {batch + 1}: expected a finite loss, got {loss}; {remedy}"
    )


def _again(first: DataRecord, rest: Iterator[DataRecord]) -> Iterator[DataRecord]:
    yield first
    yield from rest


def _learning_rate(network: keras.Model) -> float:
    """Give it as the user wrote it, ``0.001``, not as float32 has it, ``0.0010000000475``."""
    return float(str(keras.ops.convert_to_numpy(network.optimizer.learning_rate)))


def _results(network: keras.Model) -> Logs:
    return {name: float(value) for name, value in network.get_metrics_result().items()}
