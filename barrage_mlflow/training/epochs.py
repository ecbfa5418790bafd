"""The loop over epochs and their batches.

It does what ``keras.Model.fit`` does, on public Keras calls: same order of callbacks, same
metrics and same weights to the last bit. It differs where Barrage needs more: many steps run
in one call of TensorFlow, yet each reports its own loss; the other metrics are computed once an
epoch; ``on_train_end`` reaches every callback also when training breaks off; and a training
goes on from a resume checkpoint, also within an epoch, as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import keras
import numpy as np

from barrage_mlflow.dataset.feeding.blocks import Blocks
from barrage_mlflow.distribution.group import ALONE, Group
from barrage_mlflow.distribution.synchronize import agree, metric_results, synchronize
from barrage_mlflow.errors import TrainingError
from barrage_mlflow.services.checkpoint import ResumeCheckpoint
from barrage_mlflow.services.checkpoint_file import Checkpoint
from barrage_mlflow.training.batch_calls import BatchCalls
from barrage_mlflow.workspace.history import History

if TYPE_CHECKING:
    from barrage_mlflow.dataset.feeding.batches import Batches
    from barrage_mlflow.model.objective import Objective
    from barrage_mlflow.training.stop import StopRequest

Logs = dict[str, float]


def run_epochs(
    network: keras.Model,
    train: Batches,
    validation: Batches,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback],
    objective: Objective,
    history: History,
    stop: StopRequest,
    resume: Checkpoint | None = None,
    steps_per_execution: int | None = None,
    group: Group = ALONE,
) -> None:
    """Train a compiled network.

    Callbacks are called in their order, the resume checkpoint after all others. Batches run
    many in one call of TensorFlow, and their hooks are called after it, batch by batch; a callback
    that must see the network after every batch has it so (see :class:`BatchCalls`). At a batch's
    end their logs have ``loss``, its mean over the epoch so far; at an epoch's end every
    train metric, every validation metric as ``val_…``, and ``learning_rate``: the one in force
    at the end of the epoch, before a learning rate reducer changes it (with a schedule, the
    one of the next step). The history has them before a checkpoint of the epoch is written.

    In a group of processes each runs this with its share of both sets. Callbacks are called on the
    chief alone; what they change in the network is told to the others. The chief says how many
    batches a call has and when a checkpoint is due; a stop that one of them requests ends all.

    Args:
        network: a functional network, dict in and dict out, compiled by ``objective``; the
            variables of metrics and optimizer are made (see :func:`build_variables`).
        train: the train records of every epoch.
        validation: the validation records, gone through after each epoch.
        epochs: how many epochs to train in all, those before ``resume`` included.
        callbacks: Keras callbacks, the resume checkpoint among them.
        objective: fits targets and sample weights to the losses.
        history: gets the metrics of each epoch; it loses those of epochs after ``resume``.
        stop: looked at between two calls.
        resume: a checkpoint to go on from.
        steps_per_execution: how many batches to run in one call of TensorFlow; found by
            measuring if left out. What is trained does not depend on it.
        group: the processes of the training.

    Raises:
        RecordError: a batch differs from the first in type or number of dimensions.
        ArtifactError: ``resume`` is of another network or of other callbacks.
        TrainingError: the loss became NaN or infinite, with epoch and batch, counted from 1.
        Exception: whatever a callback or component raises. Every callback's ``on_train_end``
            was called by then.
        KeyboardInterrupt: likewise; where ``stop`` requested it, with a resume checkpoint.
        GroupError: another process of the group has ended.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from types import SimpleNamespace
        >>> from barrage_mlflow.training.steps import build_variables
        >>> from barrage_mlflow.training.stop import StopRequest
        >>> x = keras.Input((2,), name="x")
        >>> network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(x)})
        >>> network.compile("sgd", loss={"y": "mse"})
        >>> batch = ({"x": np.ones((4, 2), "float32")}, {"y": np.ones((4, 1), "float32")})
        >>> train = SimpleNamespace(
        ...     steps=1, batch_size=4, draws=4, epoch=lambda epoch, start=0: iter([batch])
        ... )
        >>> objective = SimpleNamespace(conform=lambda y: (y, None))
        >>> build_variables(network, batch)
        >>> with TemporaryDirectory() as folder:
        ...     history = History(Path(folder, "metrics.jsonl"))
        ...     callbacks = [ResumeCheckpoint(Path(folder))]
        ...     run_epochs(network, train, [batch], 2, callbacks, objective, history, StopRequest())
        >>> [list(epoch.metrics) for epoch in history.epochs()]
        [['loss', 'val_loss', 'learning_rate'], ['loss', 'val_loss', 'learning_rate']]
    """
    first_epoch, batch = (resume.epochs, resume.batch) if resume else (0, 0)
    history.cut(first_epoch)
    # The resume checkpoint writes what the others became; all processes take part in it.
    ordered = sorted(callbacks, key=lambda callback: isinstance(callback, ResumeCheckpoint))
    ordered = ordered if group.is_chief else ordered[-1:]
    callback_list = keras.callbacks.CallbackList(
        ordered,
        add_history=True,
        model=network,
        epochs=epochs,
        steps=train.steps,
        verbose=0,
    )
    network.stop_training = False
    checkpoint = next(each for each in ordered if isinstance(each, ResumeCheckpoint))
    checkpoint.begin(ordered, train.steps, group)
    synchronize(group, network)
    done = first_epoch * train.steps + batch
    calls = partial(
        BatchCalls, network, train.batch_size, objective, ordered, steps_per_execution, group
    )
    train_calls, test_calls = calls("train", checkpoint.every_steps, done), calls("test")
    loop = _Loop(network, callback_list, train, train_calls, test_calls, checkpoint, stop, group)
    try:
        callback_list.on_train_begin()
        if batch:
            callback_list.on_epoch_begin(first_epoch)
        if resume:
            resume.restore(network, ordered, group)
        agree(group, network)
        for epoch in range(first_epoch, epochs):
            if network.stop_training and not batch:
                break
            logs = loop.train_epoch(epoch, batch)
            logs |= {f"val_{name}": value for name, value in loop.validate(validation).items()}
            logs["learning_rate"] = _learning_rate(network)
            history.add(epoch + 1, logs)
            callback_list.on_epoch_end(epoch, logs)
            agree(group, network)
            batch = 0
        network.optimizer.finalize_variable_values(network.trainable_variables)
    except BaseException as failure:
        _end_callbacks(callback_list.callbacks, failure)
        raise
    callback_list.on_train_end(dict(history.epochs()[-1].metrics))


@dataclass
class _Loop:
    """A training under way: the network, the calls of both passes, and who is called meanwhile."""

    network: keras.Model
    callbacks: keras.callbacks.CallbackList
    train: Batches
    train_calls: BatchCalls
    test_calls: BatchCalls
    checkpoint: ResumeCheckpoint
    stop: StopRequest
    group: Group

    def train_epoch(self, epoch: int, batch: int) -> Logs:
        """Train an epoch, of which so many batches were trained before."""
        network, train, calls = self.network, self.train, self.train_calls
        if not batch:
            network.reset_metrics()
            self.callbacks.on_epoch_begin(epoch)
            agree(self.group, network)
        with closing(Blocks(train.epoch(epoch, batch))) as records:
            while True:
                left = train.draws - batch * train.batch_size
                count = self._agree_on(calls, batch, left, network.stop_training)
                if not count:
                    break
                losses = calls.run(records, batch, count, left)
                if losses is None:
                    break
                finite = np.isfinite(losses)
                count = len(losses) if finite.all() else int(finite.argmin())
                calls.end(batch, losses[:count])
                if count < len(losses):
                    raise _lost(epoch, batch + count, losses[count])
                if calls.are_heard:
                    agree(self.group, network)
                batch += count
                self.checkpoint.reach(epoch * train.steps + batch, epoch)
        return _results(self.group, network)

    def validate(self, validation: Batches) -> Logs:
        """Go through all records without learning from them."""
        network, calls, batch = self.network, self.test_calls, 0
        self.checkpoint.before_validation()
        network.stop_evaluating = False
        try:
            self.callbacks.on_test_begin()
            agree(self.group, network)
            network.reset_metrics()
            with closing(Blocks(validation)) as records:
                while True:
                    left = len(validation) - batch * self.train.batch_size
                    count = self._agree_on(calls, batch, left, network.stop_evaluating)
                    if not count:
                        break
                    losses = calls.run(records, batch, count, left)
                    if losses is None:
                        break
                    calls.end(batch, losses)
                    if calls.are_heard:
                        agree(self.group, network)
                    batch += len(losses)
        except BaseException:
            self.callbacks.on_test_end({})
            raise
        results = _results(self.group, network)
        self.callbacks.on_test_end(results)
        agree(self.group, network)
        return results

    def _agree_on(self, calls: BatchCalls, batch: int, left: int, is_over: bool) -> int:
        """What all processes do next: how many batches they take, as the chief has it; 0 to end.

        A checkpoint that is due is written first. Where a stop was requested of one of them, all
        end, with a checkpoint.
        """
        count = 0 if is_over or left <= 0 else calls.next_count(batch, left)
        is_due = self.checkpoint.is_due
        said = [count, is_due] if self.group.is_chief else [0, 0]
        count, due, stops = self.group.sum(np.array([*said, bool(self.stop.requested)], np.int64))
        if stops:
            self.stop.requested = self.stop.requested or "SIGTERM"
            try:
                self.checkpoint.save()
            finally:
                self.stop.check()
        elif due:
            self.checkpoint.save()
        return int(count)


def _end_callbacks(callbacks: Iterable[keras.callbacks.Callback], failure: BaseException) -> None:
    """Let every callback close its files; what breaks then is added to the failure."""
    for callback in callbacks:
        try:
            callback.on_train_end(None)
        except Exception as error:
            failure.add_note(
                f"then {type(callback).__name__}.on_train_end raised "
                f"{type(error).__name__}: {error}"
            )


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


def _learning_rate(network: keras.Model) -> float:
    """Give it as the user wrote it, ``0.001``, not as float32 has it, ``0.0010000000475``."""
    return float(str(keras.ops.convert_to_numpy(network.optimizer.learning_rate)))


def _results(group: Group, network: keras.Model) -> Logs:
    return {name: float(value) for name, value in metric_results(group, network).items()}
