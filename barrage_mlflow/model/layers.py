"""Layers and initial weights that Keras lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


class ScaledCopies(keras.layers.Layer):  # type: ignore[misc]
    """Copies its input along a new axis, every number of every copy times a weight of its own.

    Args:
        copies: how many.
        axis: where they stand: 1, ``(batch, n)`` to ``(batch, copies, n)``; or -1, ``(batch, n)``
            to ``(batch, n, copies)``.
        initializer: of the weights, called with shape and dtype.

    Example:
        >>> ScaledCopies(3, 1, keras.initializers.Ones())(ops.ones((2, 4))).shape
        TensorShape([2, 3, 4])
    """

    def __init__(self, copies: int, axis: int, initializer: Any) -> None:
        super().__init__()
        self.copies, self.axis, self.initializer = copies, axis, initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights.

        Args:
            input_shape: ``(batch, n)``.
        """
        shape = [input_shape[-1]]
        shape.insert(0 if self.axis == 1 else 1, self.copies)
        self.scales = self.add_weight(shape=tuple(shape), initializer=self.initializer)

    def call(self, x: Any) -> Any:
        """Returns the copies.

        Args:
            x: ``(batch, n)``.
        """
        return ops.expand_dims(x, self.axis) * self.scales


class MeanOfMembers(keras.layers.Layer):  # type: ignore[misc]
    """The mean over the members of an ensemble; in training, the members themselves.

    Example:
        >>> scores = ops.convert_to_tensor([[[1.0], [3.0]]])
        >>> MeanOfMembers()(scores).numpy().tolist()
        [[2.0]]
        >>> MeanOfMembers()(scores, training=True).shape
        TensorShape([1, 2, 1])
    """

    def __init__(self) -> None:
        super().__init__(dtype="float32")  # whatever the rest is computed in

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Returns ``(batch, ...)``, in training ``(batch, members, ...)``.

        Args:
            x: ``(batch, members, ...)``.
            training: whether each member has its own loss.
        """
        return x if training else ops.mean(x, axis=1)


def random_signs(shape: tuple[int, ...], dtype: Any = None) -> Any:
    """Initial weights of -1 or 1, each as likely.

    Args:
        shape: of the weights.
        dtype: likewise.

    Example:
        >>> sorted({*random_signs((9, 9)).numpy().ravel().tolist()})
        [-1.0, 1.0]
    """
    drawn = keras.initializers.RandomUniform(-1.0, 1.0)(shape, dtype)
    return ops.where(drawn < 0, -ops.ones_like(drawn), ops.ones_like(drawn))


def in_groups(sizes: Sequence[int], initializer: Any) -> Any:
    """An initializer whose weights are alike within each group.

    Args:
        sizes: of the groups, along the last axis.
        initializer: draws one weight for each group.

    Example:
        >>> drawn = in_groups([1, 3], keras.initializers.RandomNormal())((2, 4))
        >>> [len({*row}) for row in drawn.numpy().tolist()]
        [2, 2]
    """

    def initial(shape: tuple[int, ...], dtype: Any = None) -> Any:
        return ops.repeat(initializer((*shape[:-1], len(sizes)), dtype), sizes, axis=-1)

    return initial


def uniform(fan_in: int) -> keras.initializers.Initializer:
    """Initial weights as in the published code of networks for tables.

    Args:
        fan_in: how many numbers each output is made of.

    Example:
        >>> uniform(4).maxval
        0.5
    """
    return keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)


def batch_norm() -> keras.layers.Layer:
    """Batch normalisation whose averages are right after some dozen batches.

    With Keras's own momentum, 0.99, it takes hundreds, which are many epochs of a small set.

    Example:
        >>> batch_norm().momentum
        0.9
    """
    return keras.layers.BatchNormalization(momentum=0.9)
