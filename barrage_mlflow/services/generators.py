"""States of the process-wide random number generators: Python's, NumPy's, TensorFlow's, Keras's."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import keras
import numpy as np


def generator_states() -> dict[str, Any]:
    """Return the states of the global generators, as plain JSON values.

    Not among them: the counters inside TensorFlow's stateful kernels (``tf.random.uniform``
    and its like), which nothing can read. Layers should draw through ``keras.random``.

    Example:
        >>> states = generator_states()
        >>> drawn = random.random(), float(np.random.rand()), float(keras.random.uniform(()))
        >>> set_generator_states(states)
        >>> drawn == (random.random(), float(np.random.rand()), float(keras.random.uniform(())))
        True
    """
    # Keras first: it may have to make its generator, for which it draws from Python's.
    keras_state = _keras_generator().numpy().tolist()
    version, words, gauss = random.getstate()
    return {
        "keras": keras_state,
        "python": [version, list(words), gauss],
        "numpy": _to_json(np.random.get_state(legacy=False)),
        "tensorflow": _tensorflow_state(),
    }


def set_generator_states(states: dict[str, Any]) -> None:
    """Set the global generators to what :func:`generator_states` returned."""
    import tensorflow as tf

    _keras_generator().assign(np.array(states["keras"]))
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(_from_json(states["numpy"]))
    if states["tensorflow"] is not None:
        with suppress(RuntimeError):
            tf.random.get_global_generator().reset(np.array(states["tensorflow"]))


class _Recorder(keras.StatelessScope):  # type: ignore[misc]
    """Notes the variables that would be changed, and changes none."""

    def __init__(self) -> None:
        super().__init__()
        self.variables: list[keras.Variable] = []

    def add_update(self, update: tuple[keras.Variable, Any]) -> None:
        self.variables.append(update[0])
        super().add_update(update)


def _keras_generator() -> keras.Variable:
    """Return the state of Keras's global seed generator.

    Keras has no name for it, but a draw without a seed is an update of exactly this variable.
    """
    with _Recorder() as recorder:
        keras.random.uniform(())
    return recorder.variables[0]


def _tensorflow_state() -> list[int] | None:
    import tensorflow as tf

    # Under tf.config.experimental.enable_op_determinism there is none until it is seeded.
    with suppress(RuntimeError):
        state: list[int] = tf.random.get_global_generator().state.numpy().tolist()
        return state
    return None


def _to_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _from_json(item) for key, item in value.items()}
    return np.array(value, np.uint64) if isinstance(value, list) else value
