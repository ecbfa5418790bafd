"""What a model process runs; a script, since the engine that it imports is the model's own.

It answers ``(name, arguments)`` with ``("gave", result)`` or ``("raised", kind, message)`` until
the other side is gone. Only what every version of the engine has is called here.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_opened: set[str] = set()
_model: Any = None


def load(folder: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Load a model; tell the columns that it reads and its outputs."""
    global _model
    sys.path.insert(0, str(Path(folder, "code")))
    pyfunc = importlib.import_module("barrage_mlflow.pyfunc")
    _model = pyfunc._load_pyfunc(str(Path(folder, "data"))).get_raw_model()
    return [vars(column) for column in _model.columns], _model.outputs


def score(columns: dict[str, Any], size: int, batch_size: int) -> dict[str, Any]:
    """Score records that are given as columns."""
    import pandas as pd

    scores: dict[str, Any] = _model.score(pd.DataFrame(columns, range(size)), batch_size)
    return scores


def evaluate(columns: dict[str, Any], size: int) -> tuple[Any, ...]:
    """Evaluate the model on records that are given as columns."""
    import pandas as pd

    if not hasattr(_model, "evaluate"):  # it came with a later version than the first
        errors = importlib.import_module("barrage_mlflow.errors")
        raise errors.ArtifactError(
            "the model was packaged by a barrage-mlflow that cannot evaluate what it packages: "
            "train it again with this one"
        )
    return tuple(_model.evaluate(pd.DataFrame(columns, range(size))))


def warm_up() -> None:
    """Import what every model needs, and what takes long."""
    # As a server imports it. There may be no engine here to import this from.
    alone = runpy.run_path(str(Path(__file__).with_name("tensorflow_alone.py")))
    alone["import_tensorflow_alone"]()
    for name in ("pandas", "pyarrow", "mlflow.pyfunc"):
        importlib.import_module(name)


def predict(folder: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Load a model as MLflow does and score its input example; tell the files that it opened."""
    import mlflow.pyfunc

    _opened.clear()
    model = mlflow.pyfunc.load_model(folder, suppress_warnings=True)
    scores = model.predict(model.input_example)
    # What stands in the answer of a server.
    rows = json.loads(json.dumps(scores.to_dict("records")))
    return rows, sorted({str(Path(name).resolve()) for name in _opened})


def _stay_within_packages() -> None:
    """Let nothing be imported but what is installed: no folder on the path, no editable install."""
    homes = (sys.prefix, sys.base_prefix)
    installed = ("site-packages", "dist-packages")
    sys.path[:] = [
        entry
        for entry in sys.path
        if entry.startswith(homes) or any(name in entry for name in installed)
    ]
    # A fork has them from the process that it is of.
    for name in list(sys.modules):
        if name.partition(".")[0] == "barrage_mlflow":
            del sys.modules[name]
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if "__editable__" not in getattr(finder, "__module__", "")
    ]


def _note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        _opened.add(os.fsdecode(arguments[0]))


def main(descriptor: int, path: list[str] | None) -> None:
    """Answer until the other side is gone.

    Args:
        descriptor: of the socket.
        path: where to import from; None: from what is installed alone, and opened files are noted.
    """
    # Ctrl-C reaches every process of a terminal; the one that was started there ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    if path is None:
        _stay_within_packages()
        sys.addaudithook(_note_opened)
    else:
        sys.path[:] = path
    acts = {act.__name__: act for act in (load, score, evaluate, warm_up, predict)}
    connection = Connection(descriptor)
    while True:
        try:
            name, arguments = connection.recv()
        except (EOFError, OSError):
            return
        answer: tuple[Any, ...]
        try:
            answer = ("gave", acts[name](*arguments))
        except BaseException as error:  # also sys.exit(): it must not end the process unsaid
            package = type(error).__module__.partition(".")[0]
            message = "\n".join([str(error), *getattr(error, "__notes__", ())])
            answer = ("raised", f"{package}.{type(error).__name__}", message)
        sys.stdout.flush()
        sys.stderr.flush()
        connection.send(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))
