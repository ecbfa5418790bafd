"""TensorFlow without Keras, which it loads with itself and a saved network does not need."""

from __future__ import annotations

import importlib
import sys
from typing import Any

_LAST_ACT = "keras.src.optimizers"
"""What TensorFlow imports of Keras when it is imported itself; it goes on where that fails."""


def import_tensorflow_alone() -> None:
    """Import TensorFlow, and leave Keras to whoever imports it.

    Keras brings scikit-learn, matplotlib and 1,300 modules more, which take as long to load as
    all else that a packaged model needs, and 100 MB. ``import keras``, ``tf.keras`` and
    ``tensorflow.keras`` load it later, as ever.

    It does nothing in a process that has imported TensorFlow before.

    Example:
        >>> import_tensorflow_alone()
        >>> import tensorflow as tf
        >>> tf.constant(1.5).numpy()
        np.float32(1.5)
    """
    if "tensorflow" in sys.modules:
        return
    modules: dict[str, Any] = sys.modules
    # The import of a name that leads to None fails.
    is_withheld = modules.setdefault(_LAST_ACT, None) is None
    try:
        importlib.import_module("tensorflow")
    finally:
        if is_withheld:
            del modules[_LAST_ACT]
