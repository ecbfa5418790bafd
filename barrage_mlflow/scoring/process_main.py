"""What a model process runs; a script, since the engine that it imports is the model's own.

It answers ``(name, arguments)`` with ``(True, result)`` or ``(False, error name, message)`` until
the other side is gone. What older engines lack is looked for first.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_model: Any = None
_observer: Any = None
_opened: set[str] = set()
"""Files that were opened since a model was to predict."""
_TOO_OLD = (
    "the model was packaged by a version of barrage-mlflow that does not evaluate: train it anew"
)


def load(folder: str) -> tuple[list[dict[str, Any]], list[str], dict[str, Any]]:
    """Load a model; return what it knows of columns, its outputs, and its params."""
    global _model
    sys.path.insert(0, str(Path(folder, "code")))
    pyfunc = importlib.import_module("barrage_mlflow.pyfunc")
    _model = pyfunc._load_pyfunc(str(Path(folder, "data"))).get_raw_model()
    params = getattr(_model, "score_params", {})  # which engines once had not
    if hasattr(_model, "columns"):  # as engines had them before they had a schema
        return [vars(column) for column in _model.columns], _model.outputs, params
    targets = [name for name in _model.schema.columns if name not in _model.inputs.columns]
    return _model.schema.with_optional(targets).to_json()["columns"], _model.outputs, params


def score(columns: dict[str, Any], size: int, *options: Any) -> dict[str, Any]:
    """Score so many records, given as columns; the options are the batch size, and params."""
    scores: dict[str, Any] = _model.score(_frame(columns, size), *options)
    return scores


def observe(columns: dict[str, Any], size: int) -> tuple[Any, ...]:
    """Have the model answer so many records, given as columns, that have targets."""
    global _observer
    if _observer is None:
        try:
            module = importlib.import_module("barrage_mlflow.evaluation.observe")
        except ImportError as error:  # of an engine that had none
            errors = importlib.import_module("barrage_mlflow.errors")
            raise errors.ArtifactError(_TOO_OLD) from error
        _observer = module.Observer(_model)
    return tuple(_observer.observe(_model.read(_frame(columns, size))))


def predict(folder: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Score a model's input example as MLflow does; return the answer and the files opened."""
    import mlflow.pyfunc

    _opened.clear()
    sys.addaudithook(_record_opened)
    model = mlflow.pyfunc.load_model(folder, suppress_warnings=True)
    scores = model.predict(model.input_example)
    # As a client of a server reads them.
    rows = json.loads(json.dumps(scores.to_dict("records")))
    return rows, sorted({str(Path(name).resolve()) for name in _opened})


def _frame(columns: dict[str, Any], size: int) -> Any:
    import pandas as pd

    return pd.DataFrame(columns, range(size))


def _import_ahead() -> None:
    """Import what every model needs and what takes long, as a server imports it."""
    # By its path: there may be no engine here to import it from.
    alone = runpy.run_path(str(Path(__file__).with_name("tensorflow_alone.py")))
    alone["load_tensorflow"]()
    for name in ("pandas", "pyarrow", "mlflow.pyfunc"):
        importlib.import_module(name)


def _import_only_installed() -> None:
    """Let nothing be imported but what is installed: no folder on the path, no editable install."""
    homes = (sys.prefix, sys.base_prefix)
    sys.path[:] = [
        entry
        for entry in sys.path
        if any(map(Path(entry).is_relative_to, homes))
        or "site-packages" in entry
        or "dist-packages" in entry
    ]
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if "__editable__" not in getattr(finder, "__module__", "")
    ]


def _record_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        _opened.add(os.fsdecode(arguments[0]))


def _describe(error: BaseException) -> tuple[str, str]:
    """The class of the engine's error that an error is, and its message with all notes."""
    message = "\n".join([str(error), *getattr(error, "__notes__", ())])
    for base in type(error).__mro__:
        # A ConfigError is made of faults, not of a message.
        if base.__module__ == "barrage_mlflow.errors" and base.__name__ != "ConfigError":
            return base.__name__, message
    name = type(error).__name__
    return "ComponentError", f"{name}: {message}" if message else name


def main(descriptor: int) -> None:
    """Answer until the other side is gone.

    Args:
        descriptor: of the connection.
    """
    _import_only_installed()
    _import_ahead()
    functions = {function.__name__: function for function in (load, score, observe, predict)}
    connection = Connection(descriptor)
    while True:
        try:
            name, arguments = connection.recv()
        except (EOFError, OSError):
            return
        answer: tuple[Any, ...]
        try:
            answer = (True, functions[name](*arguments))
        except BaseException as error:  # also sys.exit(), which must not end the process
            answer = (False, *_describe(error))
        connection.send(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
