"""The processes of one training, and what they tell each other.

Each holds a whole, ordinary network and takes its share of each batch. TensorFlow's collectives,
of which its ``MultiWorkerMirroredStrategy`` is the way in, add up what they have. All processes
must add up the same things in the same order.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from barrage_mlflow.dataset.feeding.share import Share
from barrage_mlflow.distribution.cluster import LAUNCHER, VARIABLE, read_cluster
from barrage_mlflow.errors import GroupError

_OPEN = (
    "the %s processes of this training listen on all addresses of their machines, to everyone: "
    "train in a private network"
)
_WAITING = "process %s of %s waits, without end, until all have come: %s"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_OF_GRAPH = ("Graph execution error", "Detected at node", "  File ", "<stack traces")
logger = logging.getLogger(__name__)


class Group:
    """The processes that train one network; by itself, a process is a group of one.

    Args:
        strategy: TensorFlow's; None for a group of one.
        index: which of the processes this one is, from 0.

    Attributes:
        share: this process's part of each batch.
        count: how many processes there are.
        is_chief: whether it is this one that calls callbacks, writes and speaks to MLflow.

    Example:
        >>> group = Group()
        >>> group.count, group.is_chief, group.sum(np.array([1.5, 2.0])).tolist()
        (1, True, [1.5, 2.0])
    """

    def __init__(self, strategy: Any = None, index: int = 0) -> None:
        self._strategy = strategy
        self.count = strategy.num_replicas_in_sync if strategy else 1
        self.share = Share(index, self.count)
        self.is_chief = index == 0

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Add up an array over all processes; each gets the same bits.

        Args:
            values: of one shape and dtype, numbers, in all of them.

        Raises:
            GroupError: another process has ended.
        """
        if self.count == 1 or not values.size:  # TensorFlow crashes over nothing
            return values
        with self.watched():
            total: np.ndarray = self._add_up(np.ravel(values)).numpy()
        return total.reshape(np.shape(values))

    def gather(self, values: np.ndarray) -> np.ndarray:
        """The array of each process: ``(count, ...)``."""
        gathered = np.zeros((self.count, *values.shape), values.dtype)
        gathered[self.share.index] = values
        return self.sum(gathered)

    def tell(self, content: bytes = b"") -> bytes:
        """What the chief gives, for all; what the others give is passed over."""
        size = int(self.sum(np.array([len(content) if self.is_chief else 0]))[0])
        words = np.zeros(-(-size // 8), np.int64)
        if self.is_chief:
            words.view(np.uint8)[:size] = np.frombuffer(content, np.uint8)
        # Whole numbers of which all but one are 0 add up to its very bits.
        return self.sum(words).tobytes()[:size]

    def add_up(self, tensor: Any) -> Any:
        """Add up a tensor over all processes within a graph; a gradient of it is added up too."""
        import tensorflow as tf

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def added(tensor: Any) -> Any:
            return self._all_reduce(tensor), self._all_reduce

        return added(tensor)

    def reduce(self, gradients: Sequence[Any]) -> list[Any]:
        """Make of the gradients of a share those of the batch.

        They are added up as one vector: each call of the network costs more than its bytes.

        Args:
            gradients: one a variable; None where a variable has none.
        """
        if self.count == 1:
            return [*gradients]
        import tensorflow as tf

        given = {place: each for place, each in enumerate(gradients) if each is not None}
        rows = {n: each for n, each in given.items() if isinstance(each, tf.IndexedSlices)}
        given |= self._join_rows(rows)
        parts = [each.values if n in rows else each for n, each in given.items()]
        dtype = tf.float64 if any(each.dtype == tf.float64 for each in parts) else tf.float32
        flat = tf.concat([tf.reshape(tf.cast(each, dtype), [-1]) for each in parts], 0)
        summed = tf.split(self._all_reduce(flat), [tf.size(each) for each in parts])
        reduced: list[Any] = [None] * len(gradients)
        for (place, each), part, whole in zip(given.items(), parts, summed, strict=True):
            value = tf.ensure_shape(tf.reshape(whole, tf.shape(part)), part.shape)
            reduced[place] = value = tf.cast(value, part.dtype)
            if place in rows:
                reduced[place] = tf.IndexedSlices(value, each.indices, each.dense_shape)
        return reduced

    def _join_rows(self, rows: dict[int, Any]) -> dict[int, Any]:
        """An embedding's gradients, with room for the rows of all processes, in their order.

        Optimizers square each row by itself, so the same row of two processes is not added up.
        """
        import tensorflow as tf

        if not rows:
            return {}
        index = self.share.index
        own = tf.stack([tf.size(each.indices, tf.int64) for each in rows.values()])
        counts = self._all_reduce(tf.one_hot(index, self.count, dtype=tf.int64)[:, None] * own)
        around = tf.stack([tf.reduce_sum(counts[:index], 0), tf.reduce_sum(counts[index + 1 :], 0)])
        rooms = dict(zip(rows, tf.unstack(around, num=len(rows), axis=1), strict=True))
        indices = [tf.pad(tf.cast(each.indices, tf.int64), [rooms[n]]) for n, each in rows.items()]
        every = self._all_reduce(tf.concat(indices, 0))
        found = tf.split(every, [tf.size(each) for each in indices])
        joined = {}
        for (place, each), whole in zip(rows.items(), found, strict=True):
            padding = [rooms[place], *[[0, 0]] * (len(each.values.shape) - 1)]
            values = tf.pad(each.values, padding)
            joined[place] = tf.IndexedSlices(values, whole, each.dense_shape)
        return joined

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Explain what TensorFlow raises when another process has ended."""
        if self.count == 1:
            yield
            return
        import tensorflow as tf

        try:
            yield
        except (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.InternalError,
            tf.errors.CancelledError,
            tf.errors.DeadlineExceededError,
        ) as error:
            raise GroupError(
                f"process {self.share.index} of {self.count}: another process of this training "
                "has ended or cannot be reached: see what it wrote, and start all of them again "
                f"with --resume ({_reason(error)})"
            ) from error

    @cached_property
    def _add_up(self) -> Any:
        import tensorflow as tf

        return tf.function(self._all_reduce, reduce_retracing=True, autograph=False)

    def _all_reduce(self, tensor: Any) -> Any:
        return self._strategy.run(_all_reduce, args=(tensor,))


ALONE = Group()
"""What a training in one process has."""


def _all_reduce(tensor: Any) -> Any:
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(tensor))


def _reason(error: BaseException) -> str:
    r"""The first line of TensorFlow's message that does not tell where in the graph it was.

    Example:
        >>> graph = "Graph execution error:\n\nDetected at node x\n  File 'a.py', line 3\n\n"
        >>> _reason(RuntimeError(f"{graph}Collective ops is aborted by: Connection reset"))
        'Collective ops is aborted by: Connection reset'
    """
    lines = [line for line in str(error).splitlines() if line and not line.startswith(_OF_GRAPH)]
    return lines[0] if lines else type(error).__name__


def join() -> Group:
    """Meet the other processes that ``TF_CONFIG`` names; waits for all of them.

    It comes before TensorFlow computes anything.

    Raises:
        GroupError: ``TF_CONFIG`` is not what TensorFlow reads, or they are not to be met.

    Example:
        >>> join().count
        1
    """
    members, index = read_cluster()
    if len(members) < 2:
        return Group()
    import tensorflow as tf

    # Nothing in Python goes on while TensorFlow waits: neither a message nor a handler of signals.
    # Ctrl-C ends the process; SIGTERM TensorFlow takes for itself, to save what it does not train.
    if LAUNCHER not in os.environ:
        logger.info(_WAITING, index, len(members), ", ".join(members))
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {each: signal.signal(each, signal.SIG_DFL) for each in _SIGNALS if is_main}
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise GroupError(
            f"process {index} of {len(members)} ({members[index]}): the processes of this "
            f"training do not meet ({_reason(error)}); {VARIABLE} names their addresses: each "
            "must be free on its machine, and be reached from the others"
        ) from error
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
    if strategy.num_replicas_in_sync != len(members):
        each = strategy.num_replicas_in_sync // len(members)
        remedy = f"start one for each, and set CUDA_VISIBLE_DEVICES of process {index} to its own"
        raise GroupError(f"expected one GPU for each process, got {each}: {remedy}")
    if not index:
        logger.warning(_OPEN, len(members))
    return Group(strategy, index)
