"""As a project of barrage 0.6 wrote its network."""

from tensorflow.python.keras import layers, models


def build(units=2, rate=0.5):
    flat = layers.Input(shape=(2,), name="flat")
    hidden = layers.Dropout(rate)(layers.Dense(units, activation="relu")(flat))
    return models.Model(inputs=flat, outputs=layers.Dense(1, name="rent")(hidden))
