"""Builds the network."""

from __future__ import annotations

import keras


def build_network(
    height: int, width: int, digits: int, filters: int = 32, dropout: float = 0.3
) -> keras.Model:
    """Build a small convolutional network.

    Two convolutions look at neighbouring pixels, pooling halves height and width, one more
    convolution looks at the neighbourhoods of those.

    Change here: more blocks of convolution and pooling for larger images. The input's name is
    the loader's, the output's name is the config's and the loader's.

    Args:
        height: rows of pixels.
        width: columns of pixels.
        digits: number of digits.
        filters: of the first two convolutions; the third has twice as many.
        dropout: share of the features that each training step leaves out.

    Returns:
        From ``image`` (batch, height, width, 1) float32 to ``digit`` (batch, digits) float32,
        the probability of each.
    """
    layers = keras.layers
    image = keras.Input((height, width, 1), name="image")
    features = image
    for _ in range(2):
        features = layers.Conv2D(filters, 3, padding="same", activation="relu")(features)
    features = layers.MaxPooling2D()(features)
    features = layers.Conv2D(2 * filters, 3, padding="same", activation="relu")(features)
    features = layers.Dropout(dropout)(layers.Flatten()(features))
    digit = layers.Dense(digits, activation="softmax", name="digit")(features)
    return keras.Model({"image": image}, {"digit": digit})
