"""How long it takes to log a trained network as a model."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from typing import Any
from unittest import mock

from harness import Bench, Case, Goal, Row, in_turn
from makers import make_table

BATCH_SIZE = 256
EXAMPLES = 5
"""Records of the input example, as many as ours has."""


def ours(table: str) -> dict[str, float]:
    """Train; return the seconds from the best weights to the logged model, by part.

    The proof is left out, and the process that scores the model for it: it makes itself ready
    beside the training, which is too short here for it to be done in time.
    """
    from networks import mlp_config

    from barrage_mlflow import BarrageModel
    from barrage_mlflow.training import recording
    from barrage_mlflow.training import train as training

    begun: dict[str, float] = {}
    taken: dict[str, float] = {}

    def timed(name: str, whole: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            begun[name] = time.perf_counter()
            given = whole(*arguments, **named)
            taken[name] = time.perf_counter() - begun[name]
            return given

        return call

    parts = [
        (training, "save_model", training.save_model),
        (training, "prove", lambda *_: None),
        (recording, "log_model", recording.log_model),
    ]
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(training, "ModelProcess"))
        for owner, name, whole in parts:
            stack.enter_context(mock.patch.object(owner, name, timed(name, whole)))
        BarrageModel("artifacts").train(mlp_config(BATCH_SIZE, epochs=1), table, table)
    until_proof = begun["prove"] - begun["save_model"]
    return {
        "export": taken["save_model"],
        "package": until_proof - taken["save_model"],
        "log": taken["log_model"],
    }


def peer(table: str) -> float:
    """Train; return the seconds that MLflow takes to log the network."""
    import mlflow
    import mlflow.tensorflow
    from mlflow.models import infer_signature
    from networks import build_mlp, read_arrays

    from barrage_mlflow.tracking import requirements

    x, y = read_arrays(table)
    network = build_mlp()
    network.fit(x, y, batch_size=BATCH_SIZE, verbose=0)
    few = x[:EXAMPLES]
    pins = requirements()
    with mlflow.start_run():
        signature = infer_signature(few, network.predict(few, verbose=0))
        began = time.perf_counter()
        mlflow.tensorflow.log_model(
            network, name="model", signature=signature, input_example=few, pip_requirements=pins
        )
        return time.perf_counter() - began


def measure(bench: Bench) -> list[Row]:
    """Measure some trainings of each side in every round."""
    table = str(bench.made("table-1000.parquet", make_table, records=1_000, seed=2))
    rounds: list[dict[str, list[Any]]] = [
        in_turn(
            bench.size(3, 1),
            {
                "ours": lambda: bench.call(ours, table=table).value,
                "peer": lambda: bench.call(peer, table=table).value,
            },
        )
        for _ in range(bench.rounds)
    ]
    mine = [statistics.median(sum(parts.values()) for parts in taken["ours"]) for taken in rounds]
    theirs = [statistics.median(taken["peer"]) for taken in rounds]
    every = [parts for taken in rounds for parts in taken["ours"]]
    medians = {part: statistics.median(each[part] for each in every) for part in every[0]}
    note = ", ".join(f"{part} {seconds:.2f}" for part, seconds in medians.items())
    return [Row("log_model", "Keras flavor", "s", mine, theirs, Goal(1.0, at_most=True), note)]


CASES = [
    Case(
        "log_model",
        """\
Seconds from the trained network of `mlp_256` to the logged model, the first in a fresh process.
Ours is what a training does for it, timed within a whole training: it exports the network, packages
it with signature, input example, requirements and the engine's code, and logs it; the note tells
the parts. The proof, for which another process scores the input example, is left out. The peer is
`mlflow.tensorflow.log_model` with signature, an input example of as many records and the same
requirements given: `mlflow.keras.log_model` writes the same file, but fails with an input example
(mlflow issue 16183). Three of each in turn make a round, of which the median counts.""",
        measure,
    )
]
