"""What is observed of models whose code is not that of this process, and of sequences."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small import small_config, small_frame

from barrage_mlflow import (
    ArtifactError,
    BarrageModel,
    ComponentError,
    Scorer,
    TrainingResult,
    train,
)
from barrage_mlflow.evaluation.collect import Outcomes
from barrage_mlflow.evaluation.evaluate import evaluate
from barrage_mlflow.evaluation.observe import Observer
from barrage_mlflow.scoring.scorer import ProcessScorer

TRAIN, VALIDATION = small_frame(60, 0), small_frame(40, 1)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    folder = tmp_path_factory.mktemp("trained")
    config = small_config(dataset__csv={"sep": ";", "decimal": ","})
    return train(config, TRAIN, VALIDATION, artifact_dir=folder, offline=True)


def with_other_code(model: Path, copy: Path) -> Path:
    """A packaged model that has to run in a process of its own."""
    shutil.copytree(model, copy)
    engine = copy / "code/barrage_mlflow/__init__.py"
    engine.write_text(engine.read_text("utf-8") + "\n# of another version\n", "utf-8")
    return copy


def test_the_figures_of_a_training_come_again(result: TrainingResult) -> None:
    found = evaluate(Scorer.load(result.artifact_dir), VALIDATION)
    assert found.metrics["label_accuracy"] == pytest.approx(result.metrics["val_accuracy"])
    assert found.metrics["label_log_loss"] == pytest.approx(result.metrics["val_loss"], 1e-5)


def test_a_model_of_other_code_is_observed_in_its_process(
    result: TrainingResult, tmp_path: Path
) -> None:
    VALIDATION.to_csv("validation.csv", index=False, sep=";", decimal=",")
    here = evaluate(Scorer.load(result.artifact_dir), VALIDATION)
    other = Scorer.load(with_other_code(result.artifact_dir / "model", tmp_path / "other"))
    assert isinstance(other, ProcessScorer)
    for records in (VALIDATION, "validation.csv"):
        there = evaluate(other, records)
        assert there.metrics == pytest.approx(here.metrics, 1e-6)
        assert there.kept.columns == here.kept.columns == ["a", "b"]


def test_windows_of_a_model_of_other_code(tmp_path: Path) -> None:
    days = pd.DataFrame({"day": range(90), "sales": np.arange(90) % 7 + 0.25})
    config = {
        "dataset": {
            "loader": {
                "import": "FeatureLoader",
                "params": {"features": {"sales": "series"}, "targets": {"next_sales": "series"}},
            },
            "transformer": {"import": "FeatureTransformer"},
            "windows": {"time": "day", "history": 14, "horizon": 3},
        },
        "model": {
            "network": {"import": "barrage_mlflow.model.feature_network", "params": {"units": [8]}},
            "outputs": [{"name": "next_sales", "loss": {"import": "mse"}}],
        },
        "solver": {
            "optimizer": {"import": "Adam", "learning_rate": 0.01},
            "batch_size": 16,
            "epochs": 1,
        },
    }
    folder = tmp_path / "out"
    train(config, days[:60], days[40:], artifact_dir=folder, offline=True)
    here = evaluate(Scorer.load(folder), days)
    there = evaluate(Scorer.load(with_other_code(folder / "model", tmp_path / "other")), days)
    assert here.records == there.records == 90 - 14 - 3 + 1
    assert there.metrics == pytest.approx(here.metrics, 1e-6)
    outcome = here.outcomes["next_sales"]
    assert (outcome.in_own_units, outcome.past.shape) == (True, (74, 14))
    assert outcome.truth[:, 0].tolist() == days["sales"][14:88].tolist()
    # The season is a week, so that nothing is off by it.
    assert here.figures["next_sales"]["mae"].baseline == 0
    assert [*BarrageModel(folder).predict(days[-14:])[0]] == ["next_sales"]


def test_records_of_a_class_that_the_model_does_not_know_are_left_out(tmp_path: Path) -> None:
    frame = small_frame(40).assign(label=lambda frame: np.where(frame["label"] == 1, "cat", "dog"))
    config = small_config(
        dataset__loader={
            "import": "FeatureLoader",
            "params": {
                "features": {"a": "number", "b": "number"},
                "targets": {"label": "category"},
            },
        },
        dataset__transformer={"import": "FeatureTransformer"},
        model__network={"import": "barrage_mlflow.model.feature_network", "params": {"units": [4]}},
        solver__epochs=1,
    )
    train(config, frame[:20], frame[20:], artifact_dir=tmp_path / "out", offline=True)
    other = with_other_code(tmp_path / "out/model", tmp_path / "other")
    odd = frame.copy()
    odd.loc[[3, 30], "label"] = "owl"
    owls = odd.assign(label="owl")
    for model in (tmp_path / "out", other):
        scorer = Scorer.load(model)
        observer, outcomes = Observer(scorer), Outcomes()
        with pytest.raises((ValueError, ComponentError), match="train records have, got 'owl'"):
            observer.observe(scorer.read(owls))
        for each in (frame, odd, owls[:1], frame[:5]):
            outcomes.add(observer.observe(scorer.read(each)))
        assert (outcomes.count, outcomes.left_out) == (86, 3)
        assert outcomes.why == "expected a class that the train records have, got 'owl' (str)"
        found = outcomes.all()["label"]
        assert found.rows.tolist() == [row for row in range(86) if row not in (43, 70, 80)]
        first = np.delete(found.answer[:40], [3, 30])
        assert found.answer[40:78].tolist() == first.tolist()


def test_no_more_files_are_read_at_once_than_the_network_takes(
    result: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer.load(result.artifact_dir)
    records = scorer.read(small_frame(600))

    def sizes() -> list[int]:
        return [len(piece) for piece in Observer(scorer).pieces(records)]

    assert sizes() == [600]
    monkeypatch.setattr(records, "has_files", True)
    assert sizes() == [256, 256, 88]


def test_a_model_that_an_engine_without_evaluation_packaged(
    result: TrainingResult, tmp_path: Path
) -> None:
    other = with_other_code(result.artifact_dir / "model", tmp_path / "other")
    (other / "code/barrage_mlflow/evaluation/observe.py").unlink()
    with pytest.raises(ArtifactError, match="a version of barrage-mlflow that does not evaluate"):
        evaluate(Scorer.load(other), VALIDATION)


def test_what_a_mask_leaves_out_counts_no_more_than_in_training(tmp_path: Path) -> None:
    steps = [f"step{step}" for step in range(6)]
    generator = np.random.default_rng(0)
    words = generator.integers(1, 5, (57, 6)) * (np.arange(6) < generator.integers(1, 7, (57, 1)))
    columns = dict(zip(steps, words.T, strict=True))
    columns |= {f"{step}_odd": columns[step] % 2 for step in steps}
    layers = [
        ("Input", {"shape": [6], "dtype": "int32", "name": "words"}),
        ("Embedding", {"input_dim": 5, "output_dim": 4, "mask_zero": True}),
        ("LSTM", {"units": 4, "return_sequences": True}),
        ("Dense", {"units": 2, "activation": "softmax", "name": "odd"}),
    ]
    loss = {"import": "sparse_categorical_crossentropy"}
    config = small_config(
        dataset__loader__params={
            "inputs": {"words": steps},
            "outputs": {"odd": [f"{step}_odd" for step in steps]},
        },
        model__network__params__layers=[{"import": n, "params": p} for n, p in layers],
        model__outputs=[{"name": "odd", "loss": loss, "metrics": [{"import": "accuracy"}]}],
        solver__epochs=2,
        solver__batch_size=57,
    )
    frame = pd.DataFrame(columns)
    result = train(config, frame[:37], frame[37:], artifact_dir=tmp_path / "masked", offline=True)
    found = evaluate(Scorer.load(tmp_path / "masked"), frame[37:])
    assert found.metrics["odd_accuracy"] == pytest.approx(result.metrics["val_accuracy"], 1e-6)
    assert found.metrics["odd_log_loss"] == pytest.approx(result.metrics["val_loss"], 1e-5)
    assert len(found.outcomes["odd"]) == (words[37:] > 0).sum()
