"""Trainings with class weights: those of Keras's own ``fit``, and the same again on resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from small import TRAIN, VALIDATION, small_config
from trainings import kill, outcome, resume

from barrage_mlflow import ConfigError, IdentityTransformer
from barrage_mlflow.commands.check import dry_run
from barrage_mlflow.config import read_config
from barrage_mlflow.dataset.components.reading import ask_kinds
from barrage_mlflow.training.fit import fit
from barrage_mlflow.training.prepare import prepare, read_document, read_sets, resolve
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.training.train import train
from barrage_mlflow.workspace.history import History

RARE = TRAIN[(TRAIN["label"] == 1) | (TRAIN.index % 5 == 0)].reset_index(drop=True)
COUNTS = RARE["label"].value_counts()
BALANCED = {label: len(RARE) / (2 * count) for label, count in COUNTS.items()}


class OneHot(IdentityTransformer):
    """One-hot targets, and labels for them."""

    class_labels: ClassVar = {"label": ("low", "high")}

    def transform(self, data_record):
        x, *rest = data_record
        return (x, *({"label": np.eye(2)[part["label"]]} for part in rest))


def weighed_config(class_weight: Any, **values: Any) -> dict[str, Any]:
    config = small_config(solver__batch_size=len(RARE), **values)
    config["model"]["outputs"][0]["class_weight"] = class_weight
    return config


FORMS = {
    "sparse": ("balanced", {}, BALANCED),
    "given": ({"1": 9}, {}, {0: 1.0, 1: 9.0}),
    "one-hot": (
        {"high": 9, "low": 0.5},
        {"dataset__transformer__import": f"{__name__}.OneHot"},
        {0: 0.5, 1: 9.0},
    ),
    "binary": ("balanced", {}, BALANCED),
}


@pytest.mark.parametrize("form", FORMS)
def test_they_are_those_of_keras(form: str, tmp_path: Path) -> None:
    asked, values, weights = FORMS[form]
    loss = "categorical_crossentropy" if form == "one-hot" else "sparse_categorical_crossentropy"
    config = weighed_config(asked, **values)
    if form == "binary":
        loss = "binary_crossentropy"
        config["model"]["network"]["params"]["layers"][-1]["params"] = {
            "units": 1,
            "activation": "sigmoid",
            "name": "label",
        }
    config["model"]["outputs"][0]["loss"]["import"] = loss
    config = resolve(read_document(config), {"$.dataset.seed": 0})
    sets = read_sets({"train": RARE, "validation": VALIDATION}, config["dataset"])
    plan = prepare(config, sets, tmp_path / "transformer")
    plain = keras.models.clone_model(keras.Sequential(plan.network.layers))
    plain.set_weights(plan.network.get_weights())
    history = History(tmp_path / "metrics.jsonl")
    (tmp_path / "checkpoints").mkdir()
    best_epoch, network = fit(plan, tmp_path, history, [], None, StopRequest()).restore()
    x, y = _arrays(RARE, form)
    plain.compile("adam", loss, weighted_metrics=[], metrics=["accuracy"])
    logs = plain.fit(
        x,
        y,
        len(x),
        3,
        0,
        validation_data=_arrays(VALIDATION, form),
        shuffle=False,
        class_weight=weights,
    ).history
    assert best_epoch == 3
    for ours, theirs in zip(network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        found = [epoch.metrics[name] for epoch in history.epochs()]
        assert found == pytest.approx(logs[name], rel=1e-5), name


def _arrays(frame: Any, form: str) -> tuple[np.ndarray, np.ndarray]:
    labels = frame["label"].to_numpy()
    y = {"one-hot": np.eye(2)[labels], "binary": labels[:, None].astype(float)}.get(form, labels)
    return frame[["a", "b"]].to_numpy(np.float32), y


def test_a_record_counts_as_often_as_it_is_drawn_and_times_its_own_weight(tmp_path: Path) -> None:
    frame = RARE.assign(n=1 + RARE["label"], w=RARE["a"].abs())
    drawn = frame.loc[frame.index.repeat(frame["n"])]
    params = {
        "inputs": {"x": ["a", "b"]},
        "outputs": {"label": "label"},
        "sample_weights": {"label": "w"},
    }
    found = []
    for source, key in ((frame, "n"), (drawn, None)):
        config = weighed_config("balanced", dataset__loader__params=params)
        config["solver"]["batch_size"] = len(drawn)
        config["dataset"] |= {"sample_count": key} if key else {}
        folder = tmp_path / f"by {key}"
        train(config, source, frame, artifact_dir=folder)
        found.append([epoch.metrics for epoch in History(folder / "metrics.jsonl").epochs()])
    for ours, theirs in zip(*found, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_killed_training_goes_on_with_the_same_weights() -> None:
    config = small_config()
    config["model"]["outputs"][0]["class_weight"] = "balanced"
    train(config, TRAIN, VALIDATION, artifact_dir="whole")
    resume(kill(Path("killed"), config=config), config=config)
    assert outcome(Path("killed")) == outcome(Path("whole"))


def test_what_is_wrong_ends_before_the_first_epoch_and_shows_in_a_dry_run() -> None:
    wrong = weighed_config({"2": 9})
    fault = r"outputs\[0\]\.class_weight: no train record is of the class '2'; known classes: '0'"
    with pytest.raises(ConfigError, match=fault):
        train(wrong, RARE, VALIDATION, artifact_dir="out")
    assert not Path("out/metrics.jsonl").exists()
    report, error = dry_run(read_config(wrong), RARE)
    assert isinstance(error, ConfigError)
    assert "the train batch" in report
    # The first records of a file need not have all classes.
    few, error = dry_run(read_config(weighed_config({"1": 9})), RARE, records=1)
    assert error is None, few


def test_a_missing_target_of_a_feature_is_of_no_class(tmp_path: Path) -> None:
    """It is encoded as class 0, and has weight 0."""
    features = {"features": {"a": "number"}, "targets": {"kind": "category"}}
    config = {
        "dataset": {
            "loader": {"import": "FeatureLoader", "params": features},
            "transformer": {"import": "FeatureTransformer"},
            "seed": 0,
        },
        "model": {
            "network": {"import": "feature_network", "params": {"units": [2]}},
            "outputs": [
                {
                    "name": "kind",
                    "loss": {"import": "sparse_categorical_crossentropy"},
                    "class_weight": "balanced",
                }
            ],
        },
    }
    kinds = [*["elm"] * 6, *["fir"] * 3, *[None] * 9]
    records = [{"a": float(place), "kind": kind} for place, kind in enumerate(kinds)]
    resolved = resolve(read_document(config), {})
    sets = read_sets({"train": records, "validation": records}, resolved["dataset"])
    plan = prepare(resolved, ask_kinds(resolved, sets), tmp_path / "transformer")
    (tmp_path / "checkpoints").mkdir()
    resolved["solver"]["epochs"] = 1
    fit(plan, tmp_path, History(tmp_path / "metrics.jsonl"), [], None, StopRequest())
    weigh = plan.network.weigh({"kind": np.array([0, 1])}, None)["kind"]
    assert np.asarray(weigh).tolist() == [0.75, 1.5]
