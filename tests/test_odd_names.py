"""Names that are none for a graph of TensorFlow: from the config to the scores, through all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
from runs import Terminate, only_run
from small import TRAIN, VALIDATION, small_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from barrage_mlflow import Scorer, train
from barrage_mlflow.commands.check import dry_run
from barrage_mlflow.commands.predict import score_file
from barrage_mlflow.config import read_config
from barrage_mlflow.evaluation.evaluate import evaluate
from barrage_mlflow.tracking.limits import legal_name

NAMES = [
    "iris species",
    "Art größe 数 \U0001f427",
    "species(3)",
    "price/eur (net)",
    "_led",
    '"two"\nlines, 100%: {x} $\\y$',
    "x" * 300,
]


class Every(keras.Model):
    """An output for each input, of its name."""

    def __init__(self, names):
        super().__init__(name="one for each")
        self.heads = {name: keras.layers.Dense(1, name=f"head {i}") for i, name in enumerate(names)}

    def call(self, x):
        return {name: self.heads[name](x[name]) for name in x}


def output(name: str) -> dict[str, Any]:
    """R2Score makes its variables when it is first called, which is in a graph."""
    params = {"params": {"name": name}}
    metrics = [{"import": "R2Score", **params}]
    return {"name": name, "loss_weight": 1, "loss": {"import": "mse", **params}, "metrics": metrics}


EVERY = small_config(
    dataset__loader__params={
        "inputs": {name: [name] for name in NAMES},
        "outputs": {name: f"{name} of it" for name in NAMES},
        "sample_weights": dict.fromkeys(NAMES[::2], "weight"),
    },
    model__network={"import": f"{__name__}.Every", "params": {"names": NAMES}},
    model__outputs=[output(name) for name in NAMES],
    solver__epochs=2,
    solver__dtype_policy="mixed_float16",
    services__best_checkpoint={"monitor": f"val_{NAMES[3]}_{NAMES[3]}", "mode": "max"},
)
"""Every name is that of a column, an input, an output, a loss and a metric; half have weights."""


def test_any_name_works_from_the_config_to_the_scores() -> None:
    columns = [*NAMES, *(f"{name} of it" for name in NAMES), "weight"]
    values = np.random.default_rng(3).uniform(size=(32, len(columns)))
    frame = pd.DataFrame(values, columns=columns)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train(EVERY, frame, frame, artifact_dir="out", callbacks=[Terminate(1, 0)])
    result = train(EVERY, frame, frame, artifact_dir="out", resume=True)

    logged = {"loss", *(f"{name}_{metric}" for name in NAMES for metric in (name, "loss"))}
    assert {*result.metrics} == {"learning_rate", *logged, *(f"val_{name}" for name in logged)}
    assert {*pd.read_csv("out/training_report.csv")} == {"epoch", *result.metrics}
    published = {name for name in only_run().data.metrics if not name.startswith("best_")}
    assert published == {*map(legal_name, result.metrics)}
    events = EventAccumulator("out/tensorboard/train").Reload().Tags()
    assert {*events["tensors"]} >= {f"epoch_{name}" for name in logged}

    assert [*evaluate(Scorer.load("out"), frame).outcomes] == NAMES
    scores = Scorer.load("out").score(frame)
    assert list(scores) == NAMES
    tables = [mlflow.pyfunc.load_model(result.model_uri).predict(frame[NAMES])]
    frame.to_parquet("records.parquet")
    readers = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": read_json}
    for suffix, read in readers.items():
        score_file(Scorer.load("out"), "records.parquet", f"scores.{suffix}")
        tables.append(read(f"scores.{suffix}"))
    for table in tables:
        assert list(table) == NAMES
        for name in NAMES:
            cells = [json.loads(cell) if isinstance(cell, str) else cell for cell in table[name]]
            np.testing.assert_allclose(np.stack(cells), scores[name], rtol=1e-6)


def read_json(path: str) -> pd.DataFrame:
    return pd.DataFrame(json.loads(Path(path).read_text("utf-8")))


def functional():
    x = keras.Input((2,), name="of a flower")
    hidden = keras.layers.Dense(4, name="the hidden one")(x)
    return keras.Model(x, keras.layers.Dense(2, "softmax", name="iris species")(hidden))


def named(path: str, name: str, **params: Any) -> dict[str, Any]:
    return {"import": path, "params": {"name": name, **params}}


LAYERS = [
    named("Input", "price/eur (net)", shape=2),
    named("Dense", "the hidden/one", units=4),
    named("Dense", "iris/species (2)", units=2, activation="softmax"),
]
SEQUENTIAL = {"import": "sequential_from_config", "params": {"layers": LAYERS}}
SCHEDULE = named("PolynomialDecay", "a/b c", initial_learning_rate=0.1, decay_steps=2)


@pytest.mark.parametrize(
    ("network", "x", "y"),
    [
        (SEQUENTIAL, "price/eur (net)", "iris/species (2)"),
        ({"import": f"{__name__}.functional"}, "of a flower", "iris species"),
    ],
)
def test_layers_may_have_any_name(network: dict[str, Any], x: str, y: str) -> None:
    config = small_config(
        dataset__loader__params={"inputs": {x: ["a", "b"]}, "outputs": {y: "label"}},
        model__network=network,
        model__outputs=[{"name": y, "loss": {"import": "sparse_categorical_crossentropy"}}],
        solver__epochs=1,
        solver__optimizer={**named("Adam", "my adam/2"), "learning_rate": SCHEDULE},
    )
    _, error = dry_run(read_config(config), TRAIN, VALIDATION)
    assert error is None
    train(config, TRAIN, VALIDATION, artifact_dir="out")
    assert Scorer.load("out").score(VALIDATION)[y].shape == (20, 2)
