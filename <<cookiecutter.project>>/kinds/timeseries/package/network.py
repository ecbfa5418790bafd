"""The network: what is trained."""

from __future__ import annotations

import keras
from keras import layers


def build_network(length: int, features: int, horizon: int, units: int = 32) -> keras.Model:
    """Build the network: it forecasts how far each coming value lies from the last known one.

    Untrained, it forecasts the last known value, the simplest of all forecasts; training starts
    from there. As it never sees the level itself, a series may go on to new ones.

    Args:
        length: number of past values.
        features: number of series.
        horizon: number of values to forecast.
        units: width of the hidden layers.

    Returns:
        From ``series`` and ``missing`` (batch, length, features) and ``season`` (batch, 2) to
        ``forecast`` (batch, horizon, 1), all float32.
    """
    series = keras.Input((length, features), name="series")
    missing = keras.Input((length, features), name="missing")
    season = keras.Input((2,), name="season")
    last = layers.Cropping1D((length - 1, 0))(series)
    steps = layers.Subtract()([series, last])

    # change here: the layers between the past and the forecast
    hidden = layers.Concatenate()([steps, missing])
    hidden = layers.Conv1D(units, 5, padding="same", activation="relu")(hidden)
    hidden = layers.AveragePooling1D(4, padding="same")(hidden)
    hidden = layers.Concatenate()([layers.Flatten()(hidden), season])
    hidden = layers.Dense(units, activation="relu")(hidden)
    # Much of a forecast is linear in the past: this way goes around the hidden layers.
    around = layers.Concatenate()([layers.Flatten()(steps), season, hidden])
    change = layers.Dense(horizon, kernel_initializer="zeros")(around)

    # The first series is the one to forecast.
    forecast = layers.Add(name="forecast")([layers.Reshape((horizon, 1))(change), last[:, :, :1]])
    return keras.Model(
        {"series": series, "missing": missing, "season": season}, {"forecast": forecast}
    )
