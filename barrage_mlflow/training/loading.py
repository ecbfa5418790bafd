"""Loads TensorFlow without the messages that it writes when it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from barrage_mlflow.scoring.tensorflow_alone import import_tensorflow_alone


def load_tensorflow(with_keras: bool = True) -> None:
    """Load TensorFlow without its messages, which no setting of its own silences.

    They are written by native code before its log level is read, so the file descriptor itself
    leads elsewhere meanwhile. What goes wrong is an exception, and still seen.

    Args:
        with_keras: load Keras too.

    Example:
        >>> load_tensorflow(with_keras=False)
        >>> "tensorflow" in sys.modules
        True
    """
    if ("keras" if with_keras else "tensorflow") in sys.modules:
        return
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import_tensorflow_alone()
        if with_keras:
            import keras  # noqa: F401 - for what loading it does
        import tensorflow as tf

        tf.config.list_physical_devices()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
