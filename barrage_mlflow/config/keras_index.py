"""The names that Keras and Barrage bring, and the arguments that each of them takes.

They come from ``keras_index.json``, which ``tools/keras_index.py`` makes, so that a config is
checked without importing Keras.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from barrage_mlflow.config.component_kinds import KINDS, VALUES
from barrage_mlflow.config.import_targets import Accepts, Target

_MOVED = {
    "tensorflow.python.keras": "keras",
    "tensorflow.keras": "keras",
    "tf.keras": "keras",
    "barrage.api": "barrage_mlflow.dataset",
    "barrage": "barrage_mlflow",
}


SEQUENTIAL = "model.sequential_from_config"
"""The built-in network of layer blocks, for :func:`means`."""


def current_path(path: str) -> str:
    """Today's path for one into Keras or Barrage as it was written in older projects.

    Example:
        >>> current_path("barrage.dataset.KeySelector"), current_path("tf.keras.losses.Huber")
        ('barrage_mlflow.dataset.KeySelector', 'keras.losses.Huber')
    """
    for root, today in _MOVED.items():
        if f"{path}.".startswith(f"{root}."):
            return today + path.removeprefix(root)
    return path


def means(path: object, name: str) -> bool:
    """Whether an import string means something of Barrage's own.

    Args:
        path: the import string.
        name: what is asked about, with its room.

    Example:
        >>> [means(path, "dataset.KeySelector") for path in ("KeySelector", "my.KeySelector")]
        [True, False]
        >>> means("barrage.model.sequential_from_config", SEQUENTIAL)
        True
    """
    names = f"barrage_mlflow.{name}", name.rpartition(".")[2]
    return isinstance(path, str) and current_path(path) in names


def short(kind: str, name: str) -> Target | None:
    """What a short name or string alias means for a kind of component, None if nothing.

    Example:
        >>> short("loss", "mse").path, short("optimizer", "adam").path
        ('keras.losses.MeanSquaredError', 'keras.optimizers.Adam')
        >>> short("metric", "accuracy").form
        'alias'
    """
    if name.lower() in KINDS[kind].by_shape:
        direction = "max" if kind == "metric" else "min"
        return Target(name, "alias", Accepts(names=("name",)), direction=direction)
    known = _index()["names"][kind]
    path = known.get(name) or (known.get(name.lower()) if kind == "optimizer" else None)
    return at(path) if path else None


def names(kind: str) -> tuple[str, ...]:
    """Every short name and alias of a kind, for suggestions.

    Example:
        >>> "mse" in names("loss"), "Dense" in names("layer"), names("loader")
        (True, True, ('FeatureLoader', 'KeySelector'))
    """
    return (*_index()["names"][kind], *KINDS[kind].by_shape)


@cache
def at(path: str) -> Target | None:
    """What is at a path, None if nothing is.

    Example:
        >>> found = at("keras.metrics.AUC")
        >>> found.form, found.kinds, found.name, found.direction
        ('class', ('metric',), 'auc', 'max')
        >>> at("barrage_mlflow.dataset.KeySelector").accepts.required
        ('mode', 'inputs', 'outputs')
    """
    number = _index()["paths"].get(path)
    if number is None:
        return None
    about = dict(_index()["described"][number])
    accepts = Accepts(**_with_tuples(about.pop("accepts", {})))
    return Target(path, accepts=accepts, **_with_tuples(about))


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(value) if isinstance(value, list) else value for k, value in values.items()}


@cache
def paths() -> tuple[str, ...]:
    """Every path below Keras and Barrage, for suggestions.

    Example:
        >>> "keras.optimizers.Adam" in paths(), "keras.src" in paths()
        (True, False)
    """
    return tuple(path for path in _index()["paths"] if "." in path)


def value_names(param: str) -> tuple[str, ...]:
    """The names that a param takes, by its own name, where it is an initializer or the like.

    Example:
        >>> "relu" in value_names("recurrent_activation"), value_names("units")
        (True, ())
    """
    kind = param.rpartition("_")[2]
    return tuple(_index()["names"][kind]) if kind in (*VALUES, "activation") else ()


def snake_name(name: str) -> str:
    """Keras's name for an object of a class, without the counter that Keras may add to it.

    Example:
        >>> snake_name("MeanSquaredError"), snake_name("AUC"), snake_name("F1Score")
        ('mean_squared_error', 'auc', 'f1_score')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def is_made_up(name: str, class_name: str) -> bool:
    """Whether Keras made a name from the class and a counter of the whole process.

    Example:
        >>> is_made_up("dense_7", "Dense"), is_made_up("dense", "Dense")
        (True, True)
        >>> is_made_up("species", "Dense")
        False
    """
    return re.fullmatch(re.escape(snake_name(class_name)) + r"(_\d+)?", name) is not None


def scope_name(name: str) -> str:
    """What a name is called in TensorFlow's graph: characters that it refuses become their codes.

    Example:
        >>> scope_name("species"), scope_name("iris species"), scope_name("price/eur")
        ('species', 'iris.20.species', 'price.2f.eur')
    """
    return re.sub(r"[^A-Za-z0-9_.-]|^[_-]", lambda found: f".{ord(found[0]):x}.", name)


@cache
def _index() -> dict[str, Any]:
    index: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return index
