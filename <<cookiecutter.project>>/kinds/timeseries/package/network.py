"""The network: what is trained."""

import keras
from keras import layers, ops


def build_network(features: list[dict], targets: list[dict], units: int = 256) -> keras.Model:
    """Build a network that forecasts how far the coming values lie from the last known one.

    So a series may go on to levels that no train record holds, as one that grows does.

    Args:
        features: the series, (batch, time, 1) float32, as the transformer describes it.
        targets: what is to come of it, (batch, size) float32, likewise.
        units: width of the hidden layers.
    """
    (series,), (coming,) = features, targets
    x = keras.Input(series["shape"], name=series["input"])
    last = x[:, -1:]
    steps = ops.subtract(x, last)

    # change here: the layers between the past and the forecast
    hidden = layers.Conv1D(units, 5, padding="same", activation="relu")(steps)
    hidden = layers.AveragePooling1D(4, padding="same")(hidden)
    hidden = layers.Dense(units, activation="relu")(layers.Flatten()(hidden))
    # Much of a forecast is linear in the past: this way goes around the hidden layers.
    around = layers.Concatenate()([layers.Flatten()(steps), hidden])
    change = layers.Dense(coming["size"], kernel_initializer="zeros")(around)

    # Series and target are scaled each by itself: from the one's scale to the other's.
    known = last[:, 0] * series["deviations"][0] + series["means"][0]
    level = (known - coming["means"][0]) / coming["deviations"][0]
    return keras.Model({series["input"]: x}, {coming["name"]: ops.add(change, level)})
