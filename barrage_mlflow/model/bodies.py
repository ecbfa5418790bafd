"""Bodies of the network of features: what stands between the features and the heads.

``mlp``, ``resnet`` and ``tabm`` take one vector a record, ``ft_transformer`` one token a feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers, ops

from barrage_mlflow.model.layers import ScaledCopies, batch_norm, random_signs, uniform


def mlp(x: Any, units: Sequence[int], dropout: float) -> Any:
    """A plain multilayer perceptron.

    Row "MLP" of table 2 in Gorishniy et al., "Revisiting Deep Learning Models for Tabular Data"
    (NeurIPS 2021): accuracy 0.852 on Adult, RMSE 0.499 on California Housing.

    Args:
        x: ``(..., n)``.
        units: of each layer.
        dropout: after each layer.

    Returns:
        ``(..., units)``, the last of them.

    Example:
        >>> mlp(layers.Input((4,)), [8, 6], 0.1).shape
        (None, 6)
    """
    for width in units:
        x = layers.Dropout(dropout)(layers.Dense(width, activation="relu")(x))
    return x


def resnet(x: Any, units: Sequence[int], dropout: float) -> Any:
    """Residual blocks of batch normalisation and two layers, the first of twice the width.

    Row "ResNet" of table 2 in Gorishniy et al., "Revisiting Deep Learning Models for Tabular Data"
    (NeurIPS 2021): accuracy 0.854 on Adult, RMSE 0.486 on California Housing.

    Args:
        x: ``(batch, n)``.
        units: of each block, all alike.
        dropout: after the first layer of each block.

    Returns:
        ``(batch, units)``.

    Example:
        >>> resnet(layers.Input((4,)), [8, 8], 0.1).shape
        (None, 8)
    """
    x = layers.Dense(units[0])(x)
    for width in units:
        inner = layers.Dense(2 * width, activation="relu")(batch_norm()(x))
        x = x + layers.Dense(width)(layers.Dropout(dropout)(inner))
    return ops.relu(batch_norm()(x))


def tabm(
    x: Any, units: Sequence[int], dropout: float, members: int, initializer: Any = random_signs
) -> Any:
    """An ensemble in one perceptron: its members differ in the scales of their inputs and in heads.

    Row "TabM-mini" in Gorishniy et al., "TabM: Advancing Tabular Deep Learning with
    Parameter-Efficient Ensembling" (ICLR 2025), there with piecewise-linear numbers: accuracy 0.870
    on Adult, RMSE 0.428 on California Housing.

    Args:
        x: ``(batch, n)``.
        units: of each layer.
        dropout: after each layer.
        members: how many.
        initializer: of the scales, ``(members, n)``. In the paper's code random signs where
            numbers go in as they are; where they are embedded, one normal number a feature.

    Returns:
        ``(batch, members, units)``.

    Example:
        >>> tabm(layers.Input((4,)), [8, 6], 0.1, 32).shape
        (None, 32, 6)
    """
    return mlp(ScaledCopies(members, 1, initializer)(x), units, dropout)


def ft_transformer(tokens: Any, units: Sequence[int], dropout: float, heads: int) -> Any:
    """A transformer over features, of which the first token goes on to the heads.

    Normalised before each attention but the first, and before each ReGLU layer, which is 4/3 as
    wide as a token. Row "FT-Transformer" of table 2 in Gorishniy et al., "Revisiting Deep Learning
    Models for Tabular Data" (NeurIPS 2021): accuracy 0.859 on Adult, RMSE 0.459 on California
    Housing.

    Args:
        tokens: ``(batch, tokens, units)``; the first is of no feature.
        units: of each block, all alike.
        dropout: of attention and of the ReGLU layer.
        heads: of attention.

    Returns:
        ``(batch, units)``.

    Example:
        >>> ft_transformer(layers.Input((5, 16)), [16, 16], 0.1, 4).shape
        (None, 16)
    """
    x = tokens
    for place, width in enumerate(units):
        normed = layers.LayerNormalization()(x) if place else x
        if place == len(units) - 1:  # after the last, only the first token is used
            x, query = x[:, :1], normed[:, :1]
        else:
            query = normed
        attention = layers.MultiHeadAttention(heads, width // heads, dropout=dropout)
        x = x + attention(query, normed)
        gates = layers.Dense(2 * (width * 4 // 3))(layers.LayerNormalization()(x))
        plain, gate = ops.split(gates, 2, axis=-1)
        x = x + layers.Dense(width)(layers.Dropout(dropout)(plain * ops.relu(gate)))
    return ops.relu(layers.LayerNormalization()(x[:, 0]))


def head(x: Any, size: int, activation: str | None) -> Any:
    """The last layer for one target, for each member its own.

    Args:
        x: ``(batch, n)`` or ``(batch, members, n)``.
        size: how many numbers the target has.
        activation: of the layer.

    Returns:
        ``(batch, size) float32`` or ``(batch, members, size) float32``.

    Example:
        >>> head(layers.Input((32, 8)), 3, "softmax").shape
        (None, 32, 3)
    """
    # In float32 whatever the rest is computed in: probabilities need its digits.
    if len(x.shape) == 2:
        return layers.Dense(size, activation, dtype="float32")(x)
    _, members, width = x.shape
    return layers.EinsumDense(
        "bki,kio->bko",
        (members, size),
        activation,
        bias_axes="ko",
        kernel_initializer=uniform(width),
        dtype="float32",
    )(x)
