"""Makes the networks of all processes one: their variables, and what they compute of a batch."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator

from barrage_mlflow.distribution.group import Group

_STRIDE = 0x9E3779B9
"""Between the seeds of two processes: far apart, and odd, so that none meet."""


def agree(group: Group, network: keras.Model) -> None:
    """Give the network and optimizer of every process the values that the chief's have.

    Only what differs is sent. The states of random generators are alike, too; what a process draws
    from them is not, see :func:`synchronize`.

    Args:
        group: the processes.
        network: compiled, the variables of its optimizer made.

    Example:
        >>> agree(Group(), keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    """
    if group.count == 1:
        return
    variables = [*network.variables, *network.optimizer.variables, global_seed_generator().state]
    values = [variable.numpy() for variable in variables]
    digests = [*map(_digest, values), int(network.stop_training)]
    chiefs, *others = group.gather(np.array(digests, np.int64))
    network.stop_training = bool(chiefs[-1])
    differing = np.flatnonzero((np.stack(others) != chiefs)[:, :-1].any(axis=0))
    if not differing.size:
        return
    told = group.tell(b"".join(values[n].tobytes() for n in differing if group.is_chief))
    start = 0
    for place in differing if not group.is_chief else ():
        value = values[place]
        new = np.frombuffer(told, value.dtype, value.size, start).reshape(value.shape)
        variables[place].assign(new)
        start += value.nbytes


def _digest(value: np.ndarray) -> int:
    digest = hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def gather_metrics(group: Group, network: keras.Model) -> np.ndarray:
    """What the metrics of a network have counted, on each process.

    Args:
        group: the processes.
        network: compiled, the variables of its metrics made.

    Returns:
        ``(processes, numbers) float64``: the metrics' variables end to end.
    """
    counted = [np.ravel(variable.numpy()) for variable in network.metrics_variables]
    return group.gather(np.concatenate(counted, dtype=np.float64, casting="unsafe"))


def set_metrics(group: Group, network: keras.Model, shares: np.ndarray) -> None:
    """Have this process go on from what was counted; another number of them, from the sum.

    Args:
        group: the processes.
        network: as above.
        shares: what :func:`gather_metrics` gave.
    """
    if len(shares) != group.count:
        shares = np.stack([shares.sum(0), *np.zeros((group.count - 1, shares.shape[1]))])
    for variable, value in _split(network, shares[group.share.index]):
        variable.assign(value)


def metric_results(group: Group, network: keras.Model) -> dict[str, Any]:
    """What the metrics of a network come to, counted by all processes together.

    Args:
        group: the processes.
        network: as above; its metrics go on as they are.
    """
    if group.count == 1:
        return network.get_metrics_result()  # type: ignore[no-any-return]
    with keras.StatelessScope(_split(network, gather_metrics(group, network).sum(0))):
        return network.get_metrics_result()  # type: ignore[no-any-return]


def _split(network: keras.Model, values: np.ndarray) -> list[tuple[keras.Variable, Any]]:
    variables = network.metrics_variables
    ends = np.cumsum([int(np.prod(variable.shape)) for variable in variables])
    parts = np.split(values, ends[:-1])
    return [
        (variable, part.reshape(variable.shape).astype(variable.dtype))
        for variable, part in zip(variables, parts, strict=True)
    ]


def synchronize(group: Group, network: keras.Model) -> None:
    """Have the layers of each process do their part for the whole batch, not for a share of it.

    Batch normalization takes mean and variance of the whole batch. Dropout and its like draw other
    numbers in each process, from random generators whose states are alike: so one state, which a
    checkpoint has, is that of all.

    Args:
        group: the processes.
        network: its layers are changed.
    """
    if group.count == 1:
        return
    generators = {global_seed_generator()}
    for layer in network._flatten_layers():
        generators.update(layer._seed_generators)
        if isinstance(layer, keras.layers.BatchNormalization):
            layer._moments = partial(_moments, group, layer)
    # The chief's network is an ordinary one.
    for generator in () if group.is_chief else generators:
        generator.next = partial(_next, group, generator)


def _next(group: Group, generator: keras.random.SeedGenerator, ordered: bool = True) -> Any:
    """The next seed of a generator: the chief's, as far from it as the process is."""
    seed = type(generator).next(generator, ordered)
    shift = np.array([group.share.index * _STRIDE, 0])
    return seed + tf.constant(shift.astype(seed.dtype.as_numpy_dtype))


def _moments(group: Group, layer: Any, inputs: Any, mask: Any) -> tuple[Any, Any]:
    """Mean and variance of each channel, as Keras's own method gives them.

    Counts, sums and squared distances of all shares are gathered in one call. The square of the
    mean taken from the mean of the squares would lose digits.
    """
    axes = layer._reduction_axes
    there = tf.ones_like(inputs)
    if mask is not None:
        there *= tf.cast(tf.expand_dims(mask, -1), inputs.dtype)
    count = tf.reduce_sum(there, axes)
    total = tf.reduce_sum(inputs * there, axes)
    shape = [1 if axis in axes else -1 for axis in range(len(inputs.shape))]
    mean = tf.math.divide_no_nan(total, count)
    distance = tf.reduce_sum(tf.square(inputs - tf.reshape(mean, shape)) * there, axes)
    mine = tf.stack([count, total, distance])
    place = tf.one_hot(group.share.index, group.count, dtype=mine.dtype)
    counts, totals, distances = tf.unstack(
        group.add_up(tf.einsum("p,sc->spc", place, mine)), axis=0
    )
    records = tf.reduce_sum(counts, 0)
    whole = tf.math.divide_no_nan(tf.reduce_sum(totals, 0), records)
    apart = tf.math.divide_no_nan(totals, counts) - whole
    variance = tf.reduce_sum(distances + counts * tf.square(apart), 0)
    return whole, tf.math.divide_no_nan(variance, records)
