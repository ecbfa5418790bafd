"""A column of a table says how much each record counts."""

import json

import numpy as np
import pandas as pd
import pytest
from contract import check_loader, check_transformer

from barrage_mlflow import BarrageModel, RecordError, evaluate, train
from barrage_mlflow.dataset import FeatureLoader, FeatureTransformer, RecordMode, Records

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": RNG.normal(size=60), "b": RNG.normal(size=60)})
TABLE = FRAME.assign(y=3 * FRAME["a"] + FRAME["b"], share=RNG.integers(1, 9, 60) / 4)
CONFIG = {
    "dataset": {
        "loader": {
            "import": "FeatureLoader",
            "params": {"targets": {"y": "number"}, "sample_weights": {"y": "share"}},
        },
        "transformer": {"import": "FeatureTransformer"},
        "seed": 1,
    },
    "model": {
        "network": {"import": "feature_network", "params": {"units": [4]}},
        "outputs": [{"name": "y", "loss": {"import": "mse"}}],
    },
    "solver": {
        "optimizer": {"import": "SGD", "learning_rate": 0.01},
        "batch_size": 16,
        "epochs": 1,
    },
}


def make(mode: RecordMode) -> FeatureLoader:
    return FeatureLoader(mode, {"a": "number"}, {"y": "number"}, sample_weights={"y": "share"})


def test_a_weight_is_loaded_and_is_0_without_a_target(tmp_path):
    rows = [{"a": n / 2, "y": None if n == 1 else float(n), "share": n + 0.5} for n in range(4)]
    records = Records.read(rows)
    check_loader(make, records)
    check_transformer(make, FeatureTransformer, records, tmp_path)
    transformer = FeatureTransformer(RecordMode.TRAIN, make(RecordMode.TRAIN))
    transformer.fit(records)
    *_, weights = transformer.transform_batch(transformer.loader.load_batch(records))
    assert weights["y"].tolist() == [0.5, 0.0, 2.5, 3.5]
    with pytest.raises(ValueError, match="sample_weights: no target 'z'"):
        FeatureLoader(RecordMode.TRAIN, {"a": "number"}, {"y": "number"}, None, {"z": "share"})


def test_weights_count_in_training_and_report_and_are_no_feature(tmp_path):
    folder, even = tmp_path / "weighed", TABLE.assign(share=1.0)
    train(CONFIG, TABLE, TABLE, artifact_dir=folder)
    train(CONFIG, even, even, artifact_dir=tmp_path / "even")
    resolved = json.loads((folder / "resolved_config.json").read_text("utf-8"))
    features = resolved["dataset"]["loader"]["params"]["features"]
    assert features == {"a": "number", "b": "number"}
    answers, others = (  # a record to score has no weight
        np.array([one["y"] for one in BarrageModel(each).predict(FRAME)])
        for each in (folder, tmp_path / "even")
    )
    assert np.abs(answers - others).max() > 1e-3
    weighed = np.average((answers - TABLE["y"]) ** 2, weights=TABLE["share"]) ** 0.5
    assert evaluate(TABLE, folder).metrics["y_rmse"] == pytest.approx(weighed)
    with pytest.raises(RecordError, match=r"sample weight 'y', column 'share': expected a number"):
        train(CONFIG, TABLE.assign(share=np.nan), TABLE, artifact_dir=tmp_path / "none")
