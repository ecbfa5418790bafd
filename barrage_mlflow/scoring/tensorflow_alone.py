"""TensorFlow without Keras, which it loads with itself and a saved network does not need."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


def import_tensorflow_alone() -> None:
    """Import TensorFlow, and leave Keras to whoever imports it.

    TensorFlow imports Keras as its last act, and goes on without it where that fails. Keras
    brings scikit-learn, matplotlib and 1,300 modules more, which take as long to load as all
    else that a packaged model needs, and 100 MB. ``import keras``, ``tf.keras`` and
    ``tensorflow.keras`` load it later, as ever.

    It does nothing in a process that has imported TensorFlow before.

    Example:
        >>> import_tensorflow_alone()
        >>> import tensorflow as tf
        >>> tf.constant(1.5).numpy()
        np.float32(1.5)
    """
    refusal = _KerasRefused()
    sys.meta_path.insert(0, refusal)
    try:
        importlib.import_module("tensorflow")
    finally:
        sys.meta_path.remove(refusal)


class _KerasRefused(MetaPathFinder, Loader):
    """Finds Keras, since TensorFlow asks where it is, but does not load it.

    For the thread that made it alone: another may be importing Keras for itself.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras" or threading.get_ident() != self._thread:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        raise ImportError("TensorFlow is imported without Keras", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Never called; a loader without it is taken for one of an old kind."""
