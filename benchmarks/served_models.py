"""The models whose serving is measured: ours, and the same network as others would log it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness import Bench, CaseError
from load_client import Request, ask, split_request
from makers import COLUMNS, make_table

BATCH_SIZE = 256
MANY = 1_000
"""Rows of a large request."""
_SINGLE = 64
"""Rows that are asked for one by one, in turn."""
_TOLERANCE = 1e-5
"""By how much the scores of float32 may differ between servers and batch sizes."""


@dataclass(frozen=True)
class ServedModels:
    """Packaged models and what to ask them.

    Attributes:
        folder: holds their store.
        uris: by the name of the model, see :func:`package`.
        rows: 1,000 of 20 numbers.
        scores: what the network gives for each.
    """

    folder: Path
    uris: Mapping[str, str]
    rows: Sequence[Sequence[float]]
    scores: Sequence[float]

    def one(self) -> list[Request]:
        """Requests of one row each."""
        return [split_request(COLUMNS, [row]) for row in self.rows[:_SINGLE]]

    def many(self) -> list[Request]:
        """One request, of all the rows."""
        return [split_request(COLUMNS, self.rows)]

    def check(self, port: int) -> None:
        """Check that a server gives the network's scores.

        Raises:
            CaseError: it does not.
        """
        given = [_number(prediction) for prediction in ask(port, self.many()[0])]
        worst = max(abs(a - b) for a, b in zip(given, self.scores, strict=True))
        if not worst <= _TOLERANCE:
            raise CaseError(f"a served score is off by {worst}")


def _number(prediction: Any) -> float:
    """The only number in a prediction, whatever holds it."""
    while not isinstance(prediction, float):
        (prediction,) = prediction.values() if isinstance(prediction, dict) else prediction
    return prediction


@contextmanager
def served_models(bench: Bench, *peers: str) -> Iterator[ServedModels]:
    """Train and package ours and what it is held against, in a folder that goes away with them.

    Args:
        bench: makes the folder.
        peers: their names, see :func:`package`.
    """
    table = bench.made("table-1000.parquet", make_table, records=MANY, seed=2)
    with bench.folder() as folder:
        packed = bench.call(package, path=str(folder), table=str(table), peers=peers).value
        yield ServedModels(folder, **packed)


def package(path: str, table: str, peers: Sequence[str]) -> dict[str, Any]:
    """Train ours, and log its network as others would, into the store of a folder.

    Args:
        path: the folder.
        table: file of train records.
        peers: of ``keras``, ``exported`` and ``constants``.

    Returns:
        ``uris``, ``rows`` and ``scores`` of :class:`ServedModels`.
    """
    os.chdir(path)

    import constant_model
    import keras
    import mlflow
    from mlflow.models import infer_signature
    from networks import build_mlp, mlp_config, read_arrays

    from barrage_mlflow import BarrageModel
    from barrage_mlflow.tracking import requirements

    trained = keras.callbacks.Callback()
    model = BarrageModel("artifacts")
    result = model.train(mlp_config(BATCH_SIZE, epochs=1), table, table, callbacks=[trained])
    network = build_mlp()
    network.set_weights(trained.model.get_weights())
    x, _ = read_arrays(table)
    scores = network.predict(x, verbose=0)
    pins = requirements()
    # The flavor takes no signature of named columns; it reads a frame's columns as one tensor.
    log_network = partial(
        mlflow.keras.log_model,
        network,
        signature=infer_signature(x, scores),
        pip_requirements=pins,
    )
    log = {
        "keras": log_network,
        "exported": partial(log_network, save_exported_model=True),
        "constants": partial(
            mlflow.pyfunc.log_model,
            loader_module="constant_model",
            code_paths=[constant_model.__file__],
            signature=mlflow.models.get_model_info(result.model_uri).signature,
            pip_requirements=pins,
        ),
    }
    with mlflow.start_run():
        logged = {name: log[name](name=name).model_uri for name in peers}
    return {
        "uris": {"ours": result.model_uri, **logged},
        "rows": x.astype("float64").tolist(),
        "scores": scores[:, 0].tolist(),
    }
