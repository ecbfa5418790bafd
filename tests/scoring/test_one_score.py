"""One record, one score: the same alone, in company, at any place and by any way in.

To the bit where TensorFlow computes by oneDNN's functions, as it does by itself on a processor that
has AVX-512 with VNNI; up to rounding elsewhere, and in attention.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from outside import SAME_BITS

from barrage_mlflow import Records, Scorer
from barrage_mlflow.commands.predict import score_file
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.pyfunc import ScoringModel
from barrage_mlflow.scoring.package import save_model

MOST = 17
"""Records in the largest batch."""
COLUMNS = [f"c{number}" for number in range(24)]
FRAME = pd.DataFrame(np.random.default_rng(5).normal(size=(MOST, len(COLUMNS))), columns=COLUMNS)
ROWS: list[dict[str, Any]] = FRAME.to_dict("records")
CONFIG = {
    "dataset": {
        "loader": {"import": "KeySelector", "params": {"inputs": {"x": COLUMNS}, "outputs": {}}},
        "transformer": {"import": "IdentityTransformer"},
    },
    "model": {"outputs": [{"name": "number"}, {"name": "label"}]},
}


def body(kind: str, x: Any) -> Any:
    from keras import layers

    if kind == "dense":
        return layers.Dense(16, "tanh")(layers.BatchNormalization()(layers.Dense(32, "relu")(x)))
    if kind == "convolution":
        image = layers.Conv2D(8, 3, activation="relu")(layers.Reshape((4, 6, 1))(x))
        return layers.Flatten()(layers.Conv2D(16, 2, padding="same")(image))
    steps = layers.Reshape((6, 4))(x)
    if kind == "recurrent":
        return layers.LSTM(8)(layers.LSTM(16, return_sequences=True)(steps))
    attended = layers.MultiHeadAttention(2, 8)(steps, steps)
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(attended + steps))


@pytest.fixture(scope="module", params=["dense", "convolution", "recurrent", "attention"])
def packaged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Scorer, float]:
    """A network with random weights, packaged and loaded; and how far two scores may be apart."""
    import keras

    keras.utils.set_random_seed(5)
    x = keras.Input((len(COLUMNS),), name="x")
    inner = body(request.param, x)
    number = keras.layers.Dense(1)(inner)
    label = keras.layers.Dense(3, "softmax")(inner)
    network = keras.Model({"x": x}, {"number": number, "label": label})
    data = tmp_path_factory.mktemp(request.param) / "model" / "data"
    (data / "transformer").mkdir(parents=True)
    specs = {"x": ArraySpec((len(COLUMNS),), "float32")}
    save_model(data, CONFIG, network, specs, Records.read(FRAME).schema, COLUMNS)
    return Scorer.load(data.parent), 0 if SAME_BITS and request.param != "attention" else 1e-6


def assert_scores(scores: Any, alone: list[Any], apart: float, how: Any) -> None:
    for name in ("number", "label"):
        expected = np.concatenate([one[name] for one in alone])
        given = np.array(scores[name].tolist(), np.float32)
        np.testing.assert_allclose(given, expected, rtol=apart, atol=apart, err_msg=str(how))


def test_a_record_has_one_score(packaged: tuple[Scorer, float], tmp_path: Path) -> None:
    scorer, apart = packaged
    alone = [scorer.score([row]) for row in ROWS]
    for size in range(1, MOST + 1):
        for first in range(size):  # each record at each place of a batch of this size
            turned = [*range(first, size), *range(first)]
            scores = scorer.score([ROWS[place] for place in turned])
            assert_scores(scores, [alone[place] for place in turned], apart, (size, first))
        assert_scores(scorer.score(ROWS, batch_size=size), alone, apart, f"batches of {size}")
    assert_scores(ScoringModel(scorer).predict(FRAME), alone, apart, "a DataFrame")
    FRAME.to_csv(tmp_path / "records.csv", index=False)
    FRAME.to_parquet(tmp_path / "records.parquet", row_group_size=5)
    for source in ("records.csv", "records.parquet"):
        score_file(scorer, tmp_path / source, tmp_path / "scores.jsonl", batch_size=4)
        lines = (tmp_path / "scores.jsonl").read_text("utf-8").splitlines()
        assert_scores(pd.DataFrame(map(json.loads, lines)), alone, apart, source)
