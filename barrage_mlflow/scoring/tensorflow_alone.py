"""TensorFlow without Keras, which it loads with itself and a saved network does not need."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from typing import Any

_LAST_ACT = "keras.src.optimizers"
"""What TensorFlow imports of Keras when it is imported itself; it goes on where that fails."""
_lock = threading.Lock()
"""Locked while what native code writes leads nowhere."""


def load_tensorflow(with_keras: bool = False) -> None:
    """Load TensorFlow without its notes, and leave Keras to whoever imports it.

    Keras brings scikit-learn, matplotlib and 1,300 modules more, which take as long to load as
    all else that a packaged model needs, and 100 MB. ``import keras``, ``tf.keras`` and
    ``tensorflow.keras`` load it later, as ever.

    The notes are written by native code before its log level is read, so the file descriptor
    itself leads elsewhere meanwhile. What goes wrong is an exception, and still seen.

    It does nothing in a process that has loaded it before.

    Args:
        with_keras: load Keras too.

    Example:
        >>> load_tensorflow()
        >>> import tensorflow as tf
        >>> tf.constant(1.5).numpy()
        np.float32(1.5)
    """
    with _lock:
        if ("keras" if with_keras else "tensorflow") in sys.modules:
            return
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        # In this order: where standard error is closed, the first takes its place.
        nowhere, kept = os.open(os.devnull, os.O_WRONLY), os.dup(2)
        os.dup2(nowhere, 2)
        try:
            _import_alone()
            if with_keras:
                importlib.import_module("keras")
            # Only now it looks for a GPU, and writes what it finds.
            sys.modules["tensorflow"].config.list_physical_devices()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def _import_alone() -> None:
    modules: dict[str, Any] = sys.modules
    if "tensorflow" in modules:
        return
    # The import of a name that leads to None fails.
    is_withheld = modules.setdefault(_LAST_ACT, None) is None
    try:
        importlib.import_module("tensorflow")
    finally:
        if is_withheld:
            del modules[_LAST_ACT]
