"""TensorFlow without Keras and its notes: what is left aside, and is there when it is wanted."""

from __future__ import annotations

import json
import os
import subprocess
import sys

ALONE = """
import json, sys
from barrage_mlflow.scoring.tensorflow_alone import load_tensorflow

load_tensorflow()
alone = sorted({"keras", "tensorflow"} & set(sys.modules))
left = "keras.src.optimizers" in sys.modules

import tensorflow as tf
from tensorflow.keras import layers
import keras

same = [
    layers.Dense is keras.layers.Dense,
    tf.keras.Model is keras.Model,
    tf.losses.MeanSquaredError is keras.losses.MeanSquaredError,
]
loss = tf.keras.losses.MeanSquaredError()(tf.constant([1.0]), tf.constant([3.0]))
kept = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
load_tensorflow(with_keras=True)
print(json.dumps([alone, left, same, float(loss),
                  kept.predict(tf.ones((1, 2)), verbose=0).tolist(), "keras" in sys.modules]))
"""


def test_keras_is_left_aside_until_it_is_wanted() -> None:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("TF_")}
    ended = subprocess.run(
        [sys.executable, "-c", ALONE], env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""
    assert json.loads(ended.stdout.splitlines()[-1]) == [
        ["tensorflow"],
        False,
        [True, True, True],
        4.0,
        [[2.0]],
        True,
    ]
