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
from typing import TYPE_CHECKING, Protocol

import keras
import numpy as np

from barrage_mlflow.dataset import Blocks, cut, length
from barrage_mlflow.errors import ComponentError, describe_error
from barrage_mlflow.services import Checkpoint, ResumeCheckpoint
from barrage_mlflow.training.batch_hooks import BatchHooks
from barrage_mlflow.training.steps import Pace, Steps
from barrage_mlflow.training.stop import StopRequest

if TYPE_CHECKING:
    from barrage_mlflow.dataset import DataRecord
    from barrage_mlflow.model import Objective

Logs = dict[str, float]


class Epochs(Protocol):
    """The train records of every epoch, in the form of :class:`TrainBatches`.

    Attributes:
        steps: batches in an epoch.
        batch_size: records in a batch.
    """

    steps: int
    batch_size: int

    def epoch(self, epoch: int, start: int = 0) -> Iterator[DataRecord]:
        """Give the blocks of one epoch, from the batch ``start`` on."""


def fit(
    network: keras.Model,
    train: Epochs,
    validation: Iterable[DataRecord],
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback],
    objective: Objective,
    resume: Checkpoint | None = None,
    steps_per_execution: int | None = None,
    stop: StopRequest | None = None,
) -> list[Logs]:
    """Train a compiled network.

    Callbacks are called in their order, the resume checkpoint after all others. Batches run
    many in one call of TensorFlow, and their hooks are called after it, batch by batch; a callback
    that must see the network after every batch has it so (see :class:`BatchHooks`). At a batch's
    end their logs hold ``loss``, its mean over the epoch so far; at an epoch's end every
    train metric, every validation metric as ``val_…``, and ``learning_rate``: the one in force
    at the end of the epoch, before a learning rate reducer changes it (with a schedule, the
    one of the next step).

    Args:
        network: a functional network, dict in and dict out, compiled by ``objective``.
        train: blocks of ``(x, y)`` or ``(x, y, w)``, dicts of arrays ``(records, …)``.
        validation: likewise; gone through after each epoch.
        epochs: how many epochs to train in all, those before ``resume`` included.
        callbacks: Keras callbacks.
        objective: fits targets and sample weights to the losses.
        resume: a checkpoint to go on from.
        steps_per_execution: how many batches to run in one call of TensorFlow; found by
            measuring if left out. What is trained does not depend on it.
        stop: looked at between two calls, where the training ends if a stop was requested.

    Returns:
        The logs of each epoch, those before ``resume`` included.

    Raises:
        ComponentError: a metric gives more than one number.
        RecordError: a batch differs from the first in type or number of dimensions.
        ArtifactError: ``resume`` is of another network or of other callbacks.
        Exception: whatever a callback or component raises. Every callback's ``on_train_end``
            was called by then.
        KeyboardInterrupt: likewise; between two batches, a resume checkpoint of that moment was
            written by then.

    Example:
        >>> from types import SimpleNamespace
        >>> x = keras.Input((2,), name="x")
        >>> network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(x)})
        >>> network.compile("sgd", loss={"y": "mse"})
        >>> batch = ({"x": np.ones((4, 2), "float32")}, {"y": np.ones((4, 1), "float32")})
        >>> train = SimpleNamespace(
        ...     steps=1, batch_size=4, epoch=lambda epoch, start=0: iter([batch])
        ... )
        >>> objective = SimpleNamespace(conform=lambda y, w: (y, w))
        >>> logs = fit(network, train, [batch], 2, [], objective)
        >>> [list(epoch) for epoch in logs]
        [['loss', 'val_loss', 'learning_rate'], ['loss', 'val_loss', 'learning_rate']]
    """
    first_epoch, first_batch = (resume.epoch, resume.batch) if resume else (0, 0)
    history: list[Logs] = list(resume.logs) if resume else []
    checkpoint, ordered = _ordered(callbacks, history)
    callback_list = keras.callbacks.CallbackList(
        ordered,
        add_history=True,
        model=network,
        epochs=epochs,
        steps=train.steps,
        verbose=0,
    )
    network.stop_training = False
    loop = _Loop(
        network,
        callback_list,
        objective,
        train.batch_size,
        steps_per_execution,
        stop or StopRequest(),
        checkpoint,
        done=first_epoch * train.steps + first_batch,
    )
    try:
        if first_epoch < epochs:
            blocks = loop.prepare(train, first_epoch, first_batch)
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
            history.append(logs)
            callback_list.on_epoch_end(epoch, logs)
        network.optimizer.finalize_variable_values(network.trainable_variables)
    except BaseException as failure:
        loop.abandon(failure)
        raise
    callback_list.on_train_end(history[-1] if history else None)
    return history


def _ordered(
    callbacks: Sequence[keras.callbacks.Callback], history: Sequence[Logs]
) -> tuple[ResumeCheckpoint | None, list[keras.callbacks.Callback]]:
    """Put the resume checkpoint last: what it writes holds what the others became."""
    others = [callback for callback in callbacks if not isinstance(callback, ResumeCheckpoint)]
    for callback in callbacks:
        if isinstance(callback, ResumeCheckpoint):
            callback.watch(others, history)
            return callback, [*others, callback]
    return None, others


class _Loop:
    """The steps of a training: the network, its traced functions and where the loop stands."""

    def __init__(
        self,
        network: keras.Model,
        callbacks: keras.callbacks.CallbackList,
        objective: Objective,
        batch_size: int,
        steps_per_execution: int | None,
        stop: StopRequest,
        checkpoint: ResumeCheckpoint | None,
        done: int,
    ) -> None:
        self._network = network
        self._callbacks = callbacks
        self._objective = objective
        self._batch_size = batch_size
        self._train = Steps(network, network.train_step, "train", batch_size)
        self._test = Steps(network, network.test_step, "validation", batch_size)
        self._train_hooks = BatchHooks(callbacks.callbacks, "train")
        self._test_hooks = BatchHooks(callbacks.callbacks, "test")
        periods = self._train_hooks.periods
        if checkpoint and checkpoint.every_steps:
            periods = [*periods, checkpoint.every_steps]
        self._train_pace = Pace(steps_per_execution, periods, done)
        self._test_pace = Pace(steps_per_execution, self._test_hooks.periods)
        self._stop = stop
        self._checkpoint = checkpoint
        self._standing = False
        self._testing = False

    def prepare(self, train: Epochs, epoch: int, batch: int) -> Iterator[DataRecord]:
        """Make the variables of metrics and optimizer, which Keras makes when they are first used.

        They must be there before the step is traced and before a checkpoint is restored.

        Returns:
            All the blocks of the epoch from the batch on.
        """
        over = batch >= train.steps
        blocks = train.epoch(epoch, train.steps - 1 if over else batch)
        first = next(blocks)
        _build(self._network, self._conform(cut(first, 0, self._batch_size)))
        return iter(()) if over else _again(first, blocks)

    def train_epoch(self, epoch: int, batch: int, blocks: Iterator[DataRecord]) -> Logs:
        """Train an epoch, of which so many batches were trained before."""
        network, checkpoint = self._network, self._checkpoint
        if not batch:
            network.reset_metrics()
            self._callbacks.on_epoch_begin(epoch)
        hooks, pace = self._train_hooks, self._train_pace
        with closing(Blocks(blocks)) as records:
            while not network.stop_training:
                data = self._take(records, pace.steps(batch))
                if data is None:
                    break
                batch = self._run(self._train, data, hooks, pace, batch)
                if checkpoint:
                    checkpoint.stand(epoch, batch)
        if checkpoint:
            checkpoint.stand_before_validation(epoch, batch)
        return _results(network)

    def validate(self, blocks: Iterable[DataRecord]) -> Logs:
        network, hooks, pace = self._network, self._test_hooks, self._test_pace
        network.stop_evaluating = False
        self._testing = True
        self._callbacks.on_test_begin()
        network.reset_metrics()
        batch = 0
        with closing(Blocks(blocks)) as records:
            while not network.stop_evaluating:
                data = self._take(records, pace.steps(batch))
                if data is None:
                    break
                batch = self._run(self._test, data, hooks, pace, batch)
        results = _results(network)
        self._callbacks.on_test_end(results)
        self._testing = False
        return results

    def _take(self, records: Blocks, steps: int) -> DataRecord | None:
        """Wait for the records of some steps; here the training stands and may be interrupted."""
        self._standing = True
        self._stop.check()
        data = records.take(steps * self._batch_size)
        self._standing = False
        return data

    def abandon(self, failure: BaseException) -> None:
        """Let every callback close its files; what breaks then is a note on the failure."""
        if isinstance(failure, KeyboardInterrupt) and self._standing and self._checkpoint:
            try:
                self._checkpoint.save()
            except Exception as error:
                failure.add_note(
                    f"then the resume checkpoint could not be written: {describe_error(error)}"
                )
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

    def _run(
        self, steps: Steps, data: DataRecord, hooks: BatchHooks, pace: Pace, batch: int
    ) -> int:
        """Run the batches that records make, from ``batch`` on; give the one that comes next."""
        hooks.begin(batch)
        began = time.perf_counter()
        losses = self._losses(steps, data)
        pace.measure(len(losses), began, data)
        return hooks.end(batch, losses)

    def _losses(self, steps: Steps, data: DataRecord) -> np.ndarray:
        conformed = self._conform(data)
        lengths = {len(array) for part in conformed for array in part.values()}
        if len(lengths) == 1:
            return steps(conformed)
        # The weights of a loss that joins the records of a batch are one to the batch.
        batches = range(0, length(data), self._batch_size)
        return np.concatenate(
            [steps(self._conform(cut(data, start, start + self._batch_size))) for start in batches]
        )

    def _conform(self, data: DataRecord) -> DataRecord:
        y, w = self._objective.conform(data[1], data[2] if len(data) > 2 else None)
        return (data[0], y) if w is None else (data[0], y, w)


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


def _again(first: DataRecord, rest: Iterator[DataRecord]) -> Iterator[DataRecord]:
    yield first
    yield from rest


def _learning_rate(network: keras.Model) -> float:
    """Give it as the user wrote it, ``0.001``, not as float32 holds it, ``0.0010000000475``."""
    return float(str(keras.ops.convert_to_numpy(network.optimizer.learning_rate)))


def _results(network: keras.Model) -> Logs:
    return {name: float(value) for name, value in network.get_metrics_result().items()}
