"""TensorFlow without Keras: what is left aside, and that it is there when it is wanted."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading

import pytest

from barrage_mlflow.scoring.tensorflow_alone import _KerasRefused

ALONE = """
import json, sys
from barrage_mlflow.scoring.tensorflow_alone import import_tensorflow_alone

import_tensorflow_alone()
alone = sorted({"keras", "tensorflow"} & set(sys.modules))
left = "_KerasRefused" in [type(finder).__name__ for finder in sys.meta_path]

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
import_tensorflow_alone()
print(json.dumps([alone, left, same, float(loss),
                  kept.predict(tf.ones((1, 2)), verbose=0).tolist(), "keras" in sys.modules]))
"""


def test_keras_is_left_aside_until_it_is_wanted() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=True
    )
    assert json.loads(ended.stdout.splitlines()[-1]) == [
        ["tensorflow"],
        False,
        [True, True, True],
        4.0,
        [[2.0]],
        True,
    ]


def test_keras_is_refused_in_one_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_KerasRefused(), *sys.meta_path])
    found = []

    def find() -> None:
        found.append(importlib.util.find_spec("keras"))

    other = threading.Thread(target=find)
    other.start()
    other.join()
    find()
    elsewhere, here = found
    assert elsewhere is not None
    assert here is not None
    assert elsewhere.origin == here.origin
    assert not isinstance(elsewhere.loader, _KerasRefused)
    with pytest.raises(ImportError, match=r"^TensorFlow is imported without Keras$"):
        importlib.import_module("keras")
