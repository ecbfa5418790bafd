"""Evaluation of a packaged model: the figures of its training's validation, on any records."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small import small_config, small_frame

from barrage_mlflow import RecordError, Scorer, TrainingResult, train
from barrage_mlflow.evaluation.measure import evaluate

OUTPUTS: list[dict[str, Any]] = [
    {
        "name": "label",
        "loss": {"import": "sparse_categorical_crossentropy"},
        "loss_weight": 0.5,
        "metrics": [{"import": "accuracy"}],
    },
    {
        "name": "sum",
        "loss": {"import": "measured_parts.Cubic"},
        "loss_weight": 2.0,
        "metrics": [{"import": "mae"}, {"import": "measured_parts.Cubic"}],
    },
]


def frame(records: int, seed: int) -> pd.DataFrame:
    weights = np.random.default_rng(seed).integers(0, 3, records)
    return small_frame(records, seed).assign(weight=weights.astype("float64"))


TRAIN, VALIDATION = frame(60, 0), frame(300, 1)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    config = small_config(
        dataset__loader={"import": "measured_parts.Loader"},
        dataset__transformer={"import": "measured_parts.Scaler"},
        model={"network": {"import": "measured_parts.network"}, "outputs": OUTPUTS},
        solver__epochs=2,
    )
    folder = tmp_path_factory.mktemp("trained")
    return train(config, TRAIN, VALIDATION, artifact_dir=folder, offline=True)


def test_it_gives_what_validation_gave(result: TrainingResult) -> None:
    found = evaluate(Scorer.load(result.artifact_dir), VALIDATION)
    expected = {
        name.removeprefix("val_"): value
        for name, value in result.metrics.items()
        if name.startswith("val_")
    }
    # What the layers of the network add is left out.
    loss = 0.5 * expected["label_loss"] + 2.0 * expected["sum_loss"]
    assert expected.pop("loss") > loss + 0.01
    expected["loss"] = loss
    assert found.metrics == pytest.approx(expected, 1e-5)
    assert found.paths == {
        "loss": "$.model",
        "label_loss": "$.model.outputs[0].loss",
        "label_accuracy": "$.model.outputs[0].metrics[0]",
        "sum_loss": "$.model.outputs[1].loss",
        "sum_mae": "$.model.outputs[1].metrics[0]",
        "sum_cubic": "$.model.outputs[1].metrics[1]",
    }
    scale = TRAIN["a"].std(ddof=0)
    a, b, label, weight = (VALIDATION[name].to_numpy() for name in ("a", "b", "label", "weight"))
    assert found.targets == {
        "label": pytest.approx(label),
        "sum": pytest.approx((a + b) / scale, 1e-5),
    }
    assert found.weights == {"label": pytest.approx(weight), "sum": pytest.approx(abs(a), 1e-5)}


def test_neither_the_file_nor_an_evaluation_before_matters(result: TrainingResult) -> None:
    VALIDATION.to_csv("validation.csv", index=False)
    VALIDATION.to_parquet("validation.parquet", row_group_size=20)
    scorer = Scorer.load(result.artifact_dir)
    scores, expected = scorer.score(VALIDATION), evaluate(scorer, VALIDATION).metrics
    assert evaluate(scorer, VALIDATION).metrics == expected
    for records in ("validation.csv", "validation.parquet", VALIDATION.to_dict("records")):
        assert evaluate(scorer, records).metrics == pytest.approx(expected, 1e-6)
    again = scorer.score(VALIDATION)
    assert all(np.array_equal(scores[name], again[name]) for name in scores)


OLDER = """
    @property
    def evaluate(self):
        from barrage_mlflow.evaluation.measure import evaluate

        return lambda records: evaluate(self, records)

    def read("""


@pytest.mark.parametrize("is_older", [False, True])
def test_a_model_with_other_code_is_measured_by_its_own(
    result: TrainingResult, tmp_path: Path, is_older: bool
) -> None:
    here = evaluate(Scorer.load(result.artifact_dir), VALIDATION)
    copy = tmp_path / "other"
    shutil.copytree(result.artifact_dir / "model", copy)
    changes = [("measured_parts.py", "axis=-1)", "axis=-1) * 2")]
    if is_older:  # engines had it as a method
        changes.append(("barrage_mlflow/scoring/scorer.py", "\n    def read(", OLDER))
    for name, old, new in changes:
        path = copy / "code" / name
        text, count = re.subn(re.escape(old), new, path.read_text("utf-8"))
        assert count == 1
        path.write_text(text, "utf-8")
    there = evaluate(Scorer.load(copy), VALIDATION)
    expected = dict(here.metrics)
    expected["loss"] += 2.0 * expected["sum_loss"]
    expected["sum_loss"] *= 2
    expected["sum_cubic"] *= 2
    assert there.metrics == pytest.approx(expected, 1e-5)
    assert there.paths == here.paths
    for ours, theirs in ((here.targets, there.targets), (here.weights, there.weights)):
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_no_records(result: TrainingResult) -> None:
    with pytest.raises(RecordError, match=r"no records"):
        evaluate(Scorer.load(result.artifact_dir), VALIDATION[:0])


def test_what_a_mask_leaves_out_counts_no_more_than_in_training(tmp_path: Path) -> None:
    steps = [f"step{step}" for step in range(6)]
    generator = np.random.default_rng(0)
    words = generator.integers(1, 5, (57, 6)) * (np.arange(6) < generator.integers(1, 7, (57, 1)))
    columns = dict(zip(steps, words.T, strict=True))
    columns |= {f"{step}_odd": columns[step] % 2 for step in steps}
    selection = {"inputs": {"words": steps}, "outputs": {"odd": [f"{step}_odd" for step in steps]}}
    layers = [
        ("Input", {"shape": [6], "dtype": "int32", "name": "words"}),
        ("Embedding", {"input_dim": 5, "output_dim": 4, "mask_zero": True}),
        ("LSTM", {"units": 4, "return_sequences": True}),
        ("Dense", {"units": 2, "activation": "softmax", "name": "odd"}),
    ]
    config = small_config(
        dataset__loader__params=selection,
        model__network__params__layers=[{"import": n, "params": p} for n, p in layers],
        model__outputs=[{**OUTPUTS[0], "name": "odd"}],
        solver__epochs=2,
        solver__batch_size=7,
    )
    frame = pd.DataFrame(columns)
    result = train(config, frame[:37], frame[37:], artifact_dir=tmp_path / "masked", offline=True)
    scorer = Scorer.load(tmp_path / "masked")
    expected = {name: result.metrics[f"val_{name}"] for name in ("loss", "accuracy")}
    assert evaluate(scorer, frame[37:]).metrics == pytest.approx(expected, 1e-5)
    assert list(scorer.score(frame[37:])) == ["odd"]
