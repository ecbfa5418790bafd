"""The network: what is trained."""

from __future__ import annotations

import keras
from keras import layers


def build_network(
    numbers: int, categories: dict[str, int], species: int, units: int = 32
) -> keras.Model:
    """Build the network: one hidden layer, and a way around it for what is nearly linear.

    Args:
        numbers: how many numbers a record has.
        categories: how many codes each category has, by its name.
        species: how many species there are.
        units: width of the hidden layer.

    Returns:
        From ``numbers`` and ``missing`` (batch, number) float32 and each category (batch,) int32
        to ``species`` (batch, species) and ``body_mass`` (batch, 1), both float32.
    """
    inputs = {name: keras.Input((numbers,), name=name) for name in ("numbers", "missing")}
    features = list(inputs.values())
    for name, count in categories.items():
        inputs[name] = keras.Input((), dtype="int32", name=name)
        # From zero: a code that training never sees then stays without effect.
        features.append(layers.Embedding(count, 2, "zeros", name=f"{name}_embedding")(inputs[name]))
    # change here: the layers between the features and the outputs
    known = layers.Concatenate()(features)
    hidden = layers.Dense(units, activation="relu")(known)
    around = layers.Concatenate()([known, hidden])
    outputs = {
        "species": layers.Dense(species, activation="softmax", name="species")(around),
        "body_mass": layers.Dense(1, name="body_mass")(around),
    }
    return keras.Model(inputs, outputs)
