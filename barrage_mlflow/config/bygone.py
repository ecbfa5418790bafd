"""What projects of barrage 0.6 and of Keras 2 name that is gone, and what to write instead."""

from __future__ import annotations

import ast
import linecache
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.project_source import imported

_PACKAGES = ("barrage.", "tensorflow.python.keras.", "tf_keras.")
_NAMES = {
    "": ("barrage_mlflow",),
    "barrage_mlflow": ("BarrageModel", "dataset", "model"),
    "barrage_mlflow.dataset": (
        "DataRecord", "IdentityTransformer", "KeySelector", "Record", "RecordLoader",
        "RecordMode", "RecordScore", "RecordTransformer", "Records",
    ),
    "barrage_mlflow.model": ("sequential_from_config",),
}  # fmt: skip
"""Where the names of barrage 0.6 are today, as far as they are."""

_FORMS = "write 'binary_', 'categorical_' or 'sparse_categorical_crossentropy'"
GONE = {
    ("layer", "ThresholdedReLU"): "write 'ReLU', with theta as its threshold",
    ("layer", "batch_input_shape"): "begin with an Input of that shape, without the batch",
    ("layer", "weights"): "give initializers, or set weights in a function that builds the network",
    ("metric", "ce"): _FORMS,
    ("metric", "crossentropy"): _FORMS,
    ("optimizer", "decay"): "write the learning_rate as an InverseTimeDecay of decay_steps 1, with "
    "this as decay_rate",
    ("optimizer", "lr"): "write it as learning_rate, beside params",
}
"""Names and params of Keras 2, each with its kind of component, of which today's nearest name means
something else: what to write instead."""


def old_imports(file: str) -> str:
    """What to write in a Python file instead of its imports of barrage 0.6 and of older Kerases.

    Returns:
        Everything in one line; empty if there is none, or no such file.

    Example:
        >>> old_imports("nowhere.py")
        ''
    """
    linecache.checkcache(file)  # it may have been changed
    nodes = ast.walk(ast.parse("".join(linecache.getlines(file))))
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    found: dict[str, list[str]] = defaultdict(list)
    for path in (path for node in imports for path in imported(node, "").values()):
        if f"{path}.".startswith(_PACKAGES):
            remedy, name = _remedy(path)
            found[remedy].append(name)
    remedies = [remedy.format(", ".join(dict.fromkeys(found[remedy]))) for remedy in found]
    return f"in {Path(file).name}, {'; '.join(remedies)}" if remedies else ""


def old_imports_of(component: Any) -> str:
    """The same of the file that a class or function is written in."""
    module = sys.modules.get(getattr(component, "__module__", ""))
    return old_imports(getattr(module, "__file__", None) or "")


def _remedy(path: str) -> tuple[str, str]:
    """What to do about an import, with a gap for names, and the name for it."""
    module, _, name = keras_index.current_path(path).rpartition(".")
    if not path.startswith("barrage"):
        found = [today for today in keras_index.paths() if today.endswith(f".{name}")]
        module, _, name = min(found, key=len, default="keras").rpartition(".")
    elif name not in _NAMES.get(module, ()):
        return "do without {}", path
    return f"write 'from {module} import {{}}'" if module else "write 'import {}'", name
