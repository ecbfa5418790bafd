"""The hooks of callbacks that are called for every batch, and how closely they must be kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import keras
import numpy as np


class BatchHooks:
    """Calls ``on_…_batch_begin`` and ``on_…_batch_end`` of the callbacks that have them.

    Many batches run in one call of TensorFlow, after which the hooks of each are called with
    its own loss. A callback that looks at the network in them, or stops the training, needs
    them between two batches: for one that has such hooks, each batch is a call. A class or
    object attribute ``batch_period`` is how many batches a callback lets pass between two
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
            if (_has_hook(callback, begin) or _has_hook(callback, end)) and not _is_idle(callback)
        ]
        self._begin = [getattr(callback, begin) for callback in listening]
        self._end = [getattr(callback, end) for callback in listening]
        periods = {_period(callback) for callback in listening}
        self.periods = sorted(period for period in periods if period is not None)

    def begin(self, batch: int) -> None:
        """Call the hooks before a batch, or before the first of those that run at once."""
        for hook in self._begin:
            hook(batch, {})

    def end(self, batch: int, losses: Sequence[float] | np.ndarray) -> None:
        """Call the hooks after batches that ran at once, each with its own loss.

        Args:
            batch: the first of them, from 0.
            losses: ``(batches,)``, after each.
        """
        if not self._end:
            return
        for place, loss in enumerate(losses):
            if place:
                self.begin(batch + place)
            logs = {"loss": float(loss)}
            for hook in self._end:
                hook(batch + place, logs)


def _has_hook(callback: keras.callbacks.Callback, name: str) -> bool:
    # LambdaCallback puts its functions on the object.
    own = getattr(callback, name)
    return getattr(own, "__func__", own) is not getattr(keras.callbacks.Callback, name)


def _is_idle(callback: keras.callbacks.Callback) -> bool:
    """Whether it is a TensorBoard that writes nothing by the batch, as is the default."""
    if not isinstance(callback, keras.callbacks.TensorBoard):
        return False
    # Keras keeps what became of `profile_batch` to itself.
    return callback.update_freq == "epoch" and not callback._should_trace


def _period(callback: keras.callbacks.Callback) -> int | None:
    if isinstance(callback, keras.callbacks.TensorBoard):
        return 1 if callback._should_trace else int(callback.update_freq)
    period: int | None = getattr(callback, "batch_period", 1)
    return period
