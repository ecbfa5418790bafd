"""Takes the batches of a pass, many in one call of TensorFlow, and calls callbacks' batch hooks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Literal

import keras
import numpy as np

from barrage_mlflow.dataset import DataRecord
from barrage_mlflow.dataset.feeding.blocks import Blocks
from barrage_mlflow.dataset.feeding.share import batch_sizes
from barrage_mlflow.dataset.types import cut, length
from barrage_mlflow.distribution.group import Group
from barrage_mlflow.training.steps import Steps

if TYPE_CHECKING:
    from barrage_mlflow.model.objective import Objective

_ENOUGH_SECONDS = 0.05
"""A call this long hides what it costs to make; callbacks and Ctrl-C need not wait longer."""
_MOST_BYTES = 1 << 25
"""What the records of one call may take."""
_MOST_STEPS = 4096


class BatchCalls:
    """Runs batches, many in one call, after which the hooks of each get its own loss.

    A call has more batches than the one before, until it and the wait for its records take a
    twentieth of a second, or the records 32 MiB. What is trained does not depend on it.

    A callback that looks at the network in ``on_…_batch_begin`` or ``on_…_batch_end``, or stops
    the training there, needs them between two batches: for one that has such hooks, each batch
    is a call. By an attribute ``batch_period`` of it or its class, it needs every n-th batch only,
    counted both from the start of the epoch and of the training; by None, it needs none.
    TensorBoard's is its ``update_freq``.

    Args:
        network: compiled, the variables of optimizer and metrics made.
        batch_size: records in a batch.
        objective: fits targets and sample weights to the losses.
        callbacks: in the order in which they are called.
        given: ``solver.steps_per_execution``; None to find it by measuring.
        group: the processes of the training.
        mode: whether they train, or are tested: whose hooks are called.
        every_steps: a further period after which a call has to end.
        done: batches of the training that were run before.

    Attributes:
        are_heard: whether a callback of the chief has a hook, in which it may change the network.

    Example:
        >>> class Every100(keras.callbacks.Callback):
        ...     batch_period = 100
        ...     def on_train_batch_end(self, batch, logs=None):
        ...         if (batch + 1) % 100 == 0:
        ...             self.model.save_weights("last.weights.h5")
        >>> calls = BatchCalls(  # doctest: +SKIP
        ...     network, 32, objective, [Every100()], None, ALONE, "train"
        ... )
        >>> losses = calls.run(blocks, batch=0, count=calls.next_count(0))  # doctest: +SKIP
    """

    def __init__(
        self,
        network: keras.Model,
        batch_size: int,
        objective: Objective,
        callbacks: Iterable[keras.callbacks.Callback],
        given: int | None,
        group: Group,
        mode: Literal["train", "test"],
        every_steps: int | None = None,
        done: int = 0,
    ) -> None:
        self._group = group
        self._steps = Steps(network, mode, batch_size, group)
        self._batch_size = batch_size
        self._objective = objective
        begin, end = f"on_{mode}_batch_begin", f"on_{mode}_batch_end"
        listening = [each for each in callbacks if _has_hook(each, begin, end)]
        chiefs = group.is_chief and bool(listening)
        self.are_heard = bool(group.sum(np.array([chiefs], np.int64))[0])
        self._begin = [getattr(callback, begin) for callback in listening]
        self._end = [getattr(callback, end) for callback in listening]
        periods = {every_steps, *map(_period, listening)}
        self._periods = [period for period in periods if period is not None]
        self._count = given or 1
        self._grows = given is None
        if group.count > 1 and None in chain(*(each.shape[1:] for each in network.inputs)):
            # Whether the records of two batches can be joined is another thing in each share.
            self._count, self._grows = 1, False
        self._done = done

    def next_count(self, batch: int) -> int:
        """How many batches the next call is to have.

        Args:
            batch: the first of them, from 0 in its epoch.
        """
        ends = [period - done % period for period in self._periods for done in (self._done, batch)]
        return min([self._count, *ends])

    def run(self, records: Blocks, batch: int, count: int, left: int = 0) -> np.ndarray | None:
        """Run the next batches in one call.

        Args:
            records: those of the pass that were not run yet, this process's share of them.
            batch: the first of them, from 0 in its epoch.
            count: how many batches; fewer where the records end.
            left: in a group of several, the records of all processes that were not run yet.

        Returns:
            ``(batches,) float32``: the loss after each; None if no records are left.
        """
        began = time.perf_counter()
        wanted, sizes = count * self._batch_size, None
        if self._group.count > 1:
            sizes = batch_sizes(min(wanted, left), self._batch_size)
            first, stop = self._group.share.bounds(sizes)
            wanted = int((stop - first).sum())
        data = records.take(wanted)
        if data is None:
            return None
        for hook in self._begin:
            hook(batch, {})
        losses = self._losses(data, sizes)
        self._done += len(losses)
        if self._grows and len(losses) >= self._count:
            self._pace(time.perf_counter() - began, data)
        return losses

    def end(self, batch: int, losses: Sequence[float] | np.ndarray) -> None:
        """Call the hooks after batches that ran at once, each with its own loss.

        Args:
            batch: the first of them, from 0.
            losses: ``(batches,)``, after each.
        """
        if not self._end:
            return
        for place, loss in enumerate(losses, batch):
            if place > batch:
                for hook in self._begin:
                    hook(place, {})
            for hook in self._end:
                hook(place, {"loss": float(loss)})

    def _pace(self, seconds: float, data: DataRecord) -> None:
        """Learn from a call how many batches the next one is to have."""
        size = sum(array.nbytes for part in data for array in part.values())
        if seconds < _ENOUGH_SECONDS / 2 and size < _MOST_BYTES / 2:
            self._count = min(2 * self._count, _MOST_STEPS)
        elif seconds > 2 * _ENOUGH_SECONDS:
            self._count = max(1, self._count // 2)

    def _losses(self, data: DataRecord, sizes: np.ndarray | None) -> np.ndarray:
        conformed = self._conform(data)
        if sizes is not None:
            return self._steps(conformed, sizes)
        lengths = {len(array) for part in conformed for array in part.values()}
        if len(lengths) == 1:
            return self._steps(conformed)
        # The weights of a loss that joins the records of a batch are one to the batch.
        size = self._batch_size
        batches = [cut(data, start, start + size) for start in range(0, length(data), size)]
        return np.concatenate([self._steps(self._conform(batch)) for batch in batches])

    def _conform(self, data: DataRecord) -> DataRecord:
        y, w = self._objective.conform(*data[1:])
        return (data[0], y) if w is None else (data[0], y, w)


def _has_hook(callback: keras.callbacks.Callback, *names: str) -> bool:
    """Whether one of the hooks does something."""
    if isinstance(callback, keras.callbacks.TensorBoard) and _period(callback) is None:
        return False
    # LambdaCallback puts its functions on the object.
    owns = ((getattr(callback, name), getattr(keras.callbacks.Callback, name)) for name in names)
    return any(getattr(own, "__func__", own) is not unset for own, unset in owns)


def _period(callback: keras.callbacks.Callback) -> int | None:
    """Batches between two that matter to it; None where none does."""
    if isinstance(callback, keras.callbacks.TensorBoard):
        # Keras keeps what became of `profile_batch` to itself.
        if callback._should_trace:
            return 1
        return None if callback.update_freq == "epoch" else int(callback.update_freq)
    period: int | None = getattr(callback, "batch_period", 1)
    return period
