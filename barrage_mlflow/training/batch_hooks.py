"""The hooks of callbacks that are called for every batch, and how closely they must be kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import keras
import numpy as np

_BASE = keras.callbacks.Callback


class BatchHooks:
    """Calls ``on_…_batch_begin`` and ``on_…_batch_end`` of the callbacks that have them.

    Many batches run in one call of TensorFlow, after which the hooks of each are called with
    its own loss. A callback that looks at the network in them, or stops the training, needs
    them between two batches: for one that has such hooks, each batch is a call. A class or
    object attribute ``batch_period`` says how many batches a callback lets pass between two
    that matter to it, counted in each epoch or over the training, or that none does (``None``).
    TensorBoard's is its ``update_freq``.

    Args:
        callbacks: in the order in which they are called.
        mode: whose hooks.

    Attributes:
        periods: after each so many batches a call has to end.

    Example:
        >>> class Every100(keras.callbacks.Callback):
        ...     batch_period = 100
        ...     def on_train_batch_end(self, batch, logs=None):
        ...         if (batch + 1) % 100 == 0:
        ...             self.model.save_weights("last.weights.h5")
        >>> BatchHooks([Every100()], "train").periods
        [100]
    """

    def __init__(
        self, callbacks: Iterable[keras.callbacks.Callback], mode: Literal["train", "test"]
    ) -> None:
        begin, end = f"on_{mode}_batch_begin", f"on_{mode}_batch_end"
        listening = [
            callback
            for callback in callbacks
            if (_has_hook(callback, begin) or _has_hook(callback, end)) and not _sleeps(callback)
        ]
        self._begin = [getattr(callback, begin) for callback in listening]
        self._end = [getattr(callback, end) for callback in listening]
        periods = {_period(callback) for callback in listening}
        self.periods = sorted(period for period in periods if period is not None)

    def begin(self, batch: int) -> None:
        """Call the hooks before a batch, or before the first of those that run at once."""
        for hook in self._begin:
            hook(batch, {})

    def end(self, batch: int, losses: Sequence[float] | np.ndarray) -> int:
        """Call the hooks after batches that ran at once, each with its own loss.

        Args:
            batch: the first of them, from 0.
            losses: ``(batches,)``, after each.

        Returns:
            The batch that comes next.
        """
        following = batch + len(losses)
        if not self._begin:
            return following
        for loss in losses[:-1]:
            self._end_one(batch, float(loss))
            batch += 1
            self.begin(batch)
        self._end_one(batch, float(losses[-1]))
        return following

    def _end_one(self, batch: int, loss: float) -> None:
        logs = {"loss": loss}
        for hook in self._end:
            hook(batch, logs)


def _has_hook(callback: keras.callbacks.Callback, name: str) -> bool:
    # LambdaCallback puts its functions on the object.
    own = getattr(callback, name)
    return getattr(own, "__func__", own) is not getattr(_BASE, name)


def _sleeps(callback: keras.callbacks.Callback) -> bool:
    """Whether it is a TensorBoard that writes nothing by the batch, as is the default."""
    return _is_tensorboard(callback) and callback.update_freq == "epoch" and not _profiles(callback)


def _period(callback: keras.callbacks.Callback) -> int | None:
    if _is_tensorboard(callback):
        return 1 if _profiles(callback) else int(callback.update_freq)
    period: int | None = getattr(callback, "batch_period", 1)
    return period


def _is_tensorboard(callback: keras.callbacks.Callback) -> bool:
    return isinstance(callback, keras.callbacks.TensorBoard)


def _profiles(callback: keras.callbacks.TensorBoard) -> bool:
    # Keras keeps what became of `profile_batch` to itself.
    return bool(getattr(callback, "_should_trace", False))
