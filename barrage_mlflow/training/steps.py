"""Runs steps on TensorFlow, several in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator

from barrage_mlflow.config.names import show_names
from barrage_mlflow.dataset import DataRecord
from barrage_mlflow.distribution.group import ALONE, Group
from barrage_mlflow.errors import ComponentError, RecordError
from barrage_mlflow.solver import averages

if TYPE_CHECKING:
    Spec = tuple[tuple[int | None, ...], np.dtype]

_PARTS = ("input", "target", "sample weight")


def train_step(
    network: keras.Model, data: DataRecord, group: Group = ALONE, weight: Any = None
) -> dict[str, Any]:
    """Do what Keras's own ``train_step`` does, to the last bit, for a share of a batch.

    Args:
        network: compiled.
        data: the share: ``(x, y)`` or ``(x, y, w)``, dicts of tensors ``(records, ...)``.
        group: the processes that have the other shares, whose gradients are added up.
        weight: in a group of several, what the mean over the share counts in that over the batch.

    Returns:
        Every metric of the epoch so far, of the shares that this process has had.

    Example:
        >>> x = keras.Input((2,), name="x")
        >>> network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(x)})
        >>> network.compile("sgd", loss={"y": "mse"})
        >>> data = {"x": np.ones((4, 2), "float32")}, {"y": np.ones((4, 1), "float32")}
        >>> list(train_step(network, data))
        ['loss']
    """
    x, y, w = keras.utils.unpack_x_y_sample_weight(data)
    own = tf.shape(next(iter(x.values())))[0]
    weights = network.trainable_variables
    with tf.GradientTape() as tape:
        y_pred = network(x, training=True)
        loss = network.compute_loss(x, y, y_pred, w, training=True)
        network.metrics[0].update_state(loss, sample_weight=own)
        if group.count > 1:
            loss = loss * tf.cast(weight, loss.dtype)
        loss = network.optimizer.scale_loss(loss)
    gradients = tape.gradient(loss, weights)
    network.optimizer.apply(group.reduce(gradients), weights)
    results: dict[str, Any] = network.compute_metrics(x, y, y_pred, sample_weight=w)
    return results


def validation_step(network: keras.Model, data: DataRecord) -> dict[str, Any]:
    """Do what Keras's own ``test_step`` does, on averaged weights where the optimizer keeps them.

    The network's own weights stay as they are.

    Args:
        network: compiled; the variables of its optimizer are made.
        data: a batch: ``(x, y)`` or ``(x, y, w)``, dicts of tensors ``(records, ...)``.

    Returns:
        Every metric of the validation so far.

    Example:
        >>> x = keras.Input((2,), name="x")
        >>> network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(x)})
        >>> network.compile("sgd", loss={"y": "mse"})
        >>> data = {"x": np.ones((4, 2), "float32")}, {"y": np.ones((4, 1), "float32")}
        >>> list(validation_step(network, data))
        ['loss']
    """
    averaged = averages(network.optimizer)
    if not averaged:
        return network.test_step(data)  # type: ignore[no-any-return]
    with keras.StatelessScope(averaged, collect_losses=True) as scope:
        results: dict[str, Any] = network.test_step(data)
    # In the scope nothing was written: metrics and random generators go on here.
    others = *network.non_trainable_variables, *network.metrics_variables
    for variable in (*others, global_seed_generator().state):
        if (value := scope.get_current_value(variable)) is not None:
            variable.assign(value)
    return results


def build_variables(network: keras.Model, data: DataRecord) -> None:
    """Make the variables of metrics, optimizer and random generator, which Keras makes late.

    They must be there before the step is traced and before a checkpoint is restored.

    Args:
        network: compiled.
        data: a batch: ``(x, y)`` or ``(x, y, w)``, dicts of arrays ``(records, ...)``.

    Raises:
        ComponentError: a metric gives more than one number.
    """
    global_seed_generator()
    # Nothing that the network would change of itself in this call is changed.
    with keras.StatelessScope():
        outputs = network(data[0], training=False)
    x, y, w = keras.utils.unpack_x_y_sample_weight(data)
    results = network.compute_metrics(x, y, outputs, sample_weight=w)
    network.compute_loss(x, y, outputs, w, training=False)
    network.reset_metrics()
    network.optimizer.build(network.trainable_variables)
    for name, value in results.items():
        if isinstance(value, dict):
            got, remedy = f"a dict of {show_names(value)}", "write a metric for each of them"
        elif shape := tuple(np.shape(value)):
            got = f"an array of shape {shape}"
            remedy = (
                "a metric that keeps classes apart needs a param that joins them, "
                'such as "average": "macro"'
            )
        else:
            continue
        raise ComponentError(f"metric {name!r}: expected one number, got {got}; {remedy}")


class Steps:
    """Takes batches through the network, as many as it is given at once.

    TensorFlow is called once for all of them. What they do to weights, optimizer and metrics
    is the same to the last bit as if each were called by itself.

    Args:
        network: compiled.
        mode: whether they train, or are tested on validation records.
        batch_size: records in a step, those of all processes.
        group: the processes of the training.

    Example:
        >>> x = keras.Input((2,), name="x")
        >>> network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(x)})
        >>> network.compile("sgd", loss={"y": "mse"})
        >>> steps = Steps(network, "test", batch_size=2)
        >>> steps(({"x": np.ones((5, 2), "float32")}, {"y": np.ones((5, 1), "float32")})).shape
        (3,)
    """

    def __init__(
        self,
        network: keras.Model,
        mode: Literal["train", "test"],
        batch_size: int,
        group: Group = ALONE,
    ) -> None:
        self._network = network
        self._trains = mode == "train"
        self._batch_size = batch_size
        self._group = group
        self._places: list[tuple[int, str]] = []
        self._specs: list[Spec] = []
        self._run: Callable[..., Any]

    def __call__(self, data: DataRecord, sizes: np.ndarray | None = None) -> np.ndarray:
        """Run the steps that the records make; the last may be short.

        Args:
            data: ``(x, y)`` or ``(x, y, w)``, dicts of arrays ``(records, ...)``: this process's
                share.
            sizes: in a group of several, ``(steps,)``: the records of all of them in each.

        Returns:
            ``(steps,) float32``: the loss after each step, its mean over the epoch so far.

        Raises:
            RecordError: the records differ from the first in type or number of dimensions.
        """
        if not self._places:
            self._places = [(part, name) for part, arrays in enumerate(data) for name in arrays]
        arrays = [data[part][name] for part, name in self._places]
        known = self._specs or [self._open_spec(*place, data) for place in self._places]
        specs = list(map(self._relaxed, self._places, known, arrays))
        if specs != self._specs:
            self._specs = specs
            self._run = self._trace(len(data))
        tensors = map(tf.convert_to_tensor, arrays)
        if sizes is None:
            losses: np.ndarray = self._run(*tensors).numpy()
            return losses
        share = self._group.share
        first, stop = share.bounds(sizes)
        ends = np.cumsum(stop - first)
        bounds = np.stack([ends - (stop - first), ends], 1).astype(np.int32)
        with self._group.watched():
            counted = self._run(*tensors, bounds, share.weights(sizes)).numpy()
        sums, records = self._group.sum(counted).T
        return sums / records  # type: ignore[no-any-return]

    def _trace(self, parts: int) -> Callable[..., Any]:
        """Trace the steps for any number of records.

        The function takes a flat list of tensors and returns the losses alone: packing dicts
        and computing metrics would cost as much as the step itself in a small network.
        """
        places, size, network, group = self._places, self._batch_size, self._network, self._group
        is_shared = group.count > 1
        step = train_step if self._trains else validation_step

        def one_step(*tensors: Any, **of: Any) -> Any:
            data: list[dict[str, Any]] = [{} for _ in range(parts)]
            for (part, name), tensor in zip(places, tensors, strict=True):
                data[part][name] = tensor
            return step(network, tuple(data), **of)["loss"]

        if network.jit_compile:
            # The step alone: XLA compiles for shapes that are known when it is called.
            one_step = tf.function(one_step, autograph=False, jit_compile=True)

        def alone(index: Any, tensors: Any) -> Any:
            return one_step(*(tensor[index * size : (index + 1) * size] for tensor in tensors))

        def shared(index: Any, tensors: Any, bounds: Any, weights: Any) -> Any:
            first, stop = tf.unstack(bounds[index])
            weight = weights[index]
            of = {"group": group, "weight": weight} if self._trains else {}
            before = [tf.identity(each.value) for each in network.metrics_variables]
            one_step(*(tensor[first:stop] for tensor in tensors), **of)
            for variable, value in zip(network.metrics_variables, before, strict=True):
                # The first process counts a batch that all of them take.
                variable.assign(tf.where(weight > 0, variable.value, value))
            # The mean of all shares follows from what each has counted so far.
            mean = network.metrics[0]
            return tf.stack([mean.total.value, mean.count.value])

        def run(*given: Any) -> Any:
            *tensors, bounds, weights = given if is_shared else (*given, None, None)
            steps = (
                tf.shape(weights)[0] if is_shared else (tf.shape(given[0])[0] + size - 1) // size
            )

            def one(index: Any) -> Any:
                return (
                    shared(index, tensors, bounds, weights) if is_shared else alone(index, tensors)
                )

            def loop(index: Any, losses: Any) -> Any:
                return index + 1, losses.write(index, tf.cast(one(index), tf.float32))

            _, losses = tf.while_loop(
                lambda index, _: index < steps,
                loop,
                [tf.constant(0), tf.TensorArray(tf.float32, size=steps)],
                # One after the other: each step starts from what the one before has made.
                parallel_iterations=1,
            )
            return losses.stack()

        specs = [tf.TensorSpec([None, *dims], dtype) for dims, dtype in self._specs]
        if is_shared:
            specs += [tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([None], tf.float32)]
        function = tf.function(run, input_signature=specs, autograph=False)
        concrete: Callable[..., Any] = function.get_concrete_function()
        return concrete

    def _open_spec(self, part: int, name: str, data: DataRecord) -> Spec:
        """Shape without the batch, ``None`` where the network leaves it open; and dtype."""
        tensors = self._network.output if part else self._network.input
        known = dict(enumerate(tensors[name].shape))
        array = data[part][name]
        # All processes trace at once: none is to find a dimension open later than the others.
        is_shared = self._group.count > 1
        dims = tuple(
            None if known.get(axis, None if is_shared else dim) is None else dim
            for axis, dim in enumerate(array.shape[1:], 1)
        )
        return dims, array.dtype

    def _relaxed(self, place: tuple[int, str], spec: Spec, array: np.ndarray) -> Spec:
        """Leave open the dimensions in which records differ from those before."""
        dims, dtype = spec
        if array.ndim != len(dims) + 1 or array.dtype != dtype:
            part, name = place
            role = "train" if self._trains else "validation"
            raise RecordError(
                f"{role} {_PARTS[part]} {name!r}: expected "
                f"({', '.join(map(str, ('batch', *dims)))}) {dtype} as in the first batch, "
                f"got {array.shape} {array.dtype}; every record must give the same"
            )
        pairs = zip(dims, array.shape[1:], strict=True)
        return tuple(dim if dim == now else None for dim, now in pairs), dtype
