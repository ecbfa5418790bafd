"""Promotion: what is compared, what moves the alias, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small import small_config, small_frame

from barrage_mlflow import Promotion, PromotionError, RecordError, TrackingError, promote, train
from barrage_mlflow.tracking.registry import find_holder, set_alias

TRAIN, VALIDATION = small_frame(60, seed=0), small_frame(40, seed=1)
ACCURACY = {"monitor": "val_accuracy", "mode": "max"}
LOSS = {"import": "SparseCategoricalCrossentropy"}


def registered(name: str, frame: pd.DataFrame = TRAIN, **values: Any) -> dict[str, float]:
    """Train a version of a registered model; its metrics at the best epoch."""
    return train(small_config(**values), frame, VALIDATION, register=name).metrics


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def trained(home: Path) -> list[dict[str, float]]:
    """The metrics of the versions of ``small``; ``scaled`` has two whose targets differ."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        other = small_config()["model"]["outputs"][0]
        versions = [
            registered("small", solver__epochs=1),
            registered("small", solver__epochs=8),
            registered("small", solver__epochs=1, services__best_checkpoint=ACCURACY),
            registered("small", solver__epochs=1, model__outputs=[{**other, "loss": LOSS}]),
            registered("small", solver__epochs=1, model__outputs=[{**other, "metrics": []}]),
        ]
        scaled = {
            "dataset__transformer": {
                "import": "measured_parts.Scaler",
                "params": {"target": "label"},
            },
            "model__outputs": [{"name": "label", "loss": {"import": "mse"}}],
            "model__network__params__layers": [
                {"import": "Input", "params": {"shape": [2], "name": "x"}},
                {"import": "Dense", "params": {"units": 1, "name": "label"}},
            ],
            "solver__epochs": 1,
        }
        registered("scaled", **scaled)
        registered("scaled", TRAIN.assign(a=TRAIN["a"] * 3), **scaled)
        return versions


@pytest.fixture(autouse=True)
def _store_of_the_trained(
    home: Path, trained: list[dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")


@pytest.fixture
def alias(request: pytest.FixtureRequest) -> str:
    """An alias of this test's own."""
    return re.sub(r"\W", "-", request.node.name)


@pytest.mark.parametrize(
    ("version", "before", "after", "verdict"),
    [
        ("2", "1", "2", "moved: @{} now leads to version 2 (loss: lower is better)"),
        ("1", "2", "2", "not moved: @{} stays with version 2 (loss: lower is better)"),
        ("1", None, "1", "set: @{} leads to version 1; it led nowhere"),
        ("1", "1", "1", "not moved: @{} leads to version 1 already"),
        ("2", "5", "2", "moved: @{} now leads to version 2 (loss: lower is better)"),
    ],
    ids=["better", "worse", "led nowhere", "has it already", "without metrics"],
)
def test_the_better_version_has_the_alias_in_the_end(
    trained: list[dict[str, float]],
    alias: str,
    version: str,
    before: str | None,
    after: str,
    verdict: str,
) -> None:
    uri = f"models:/small/{version}"
    if before is not None:
        set_alias("small", alias, before)
    if before == version:
        uri = f"models:/small@{alias}"
    promotion = promote(uri, VALIDATION, alias=alias)
    compared = [each for each in dict.fromkeys([version, before]) if each is not None]
    losses = {each: pytest.approx(trained[int(each) - 1]["val_loss"], 1e-5) for each in compared}
    assert promotion == Promotion("small", alias, version, before, "loss", "min", losses)
    assert promotion.promoted == (after == version)
    assert find_holder("small", alias) == after
    *_, last = promotion.report.splitlines()
    assert last == verdict.format(alias)


def test_the_metric_is_what_the_version_chose_its_best_epoch_by(alias: str) -> None:
    # The same training as version 1: a tie, which is as good.
    set_alias("small", alias, "1")
    promotion = promote("models:/small/3", VALIDATION, alias=alias)
    accuracy = promotion.scores["3"]
    scores = {"3": accuracy, "1": accuracy}
    assert promotion == Promotion("small", alias, "3", "1", "accuracy", "max", scores)
    assert promotion.report.endswith(" (accuracy: higher is better)")
    assert 0 < accuracy * len(VALIDATION) == pytest.approx(round(accuracy * len(VALIDATION)))
    assert find_holder("small", alias) == "3"


def test_the_records_decide_and_not_the_training(alias: str) -> None:
    set_alias("small", alias, "2")
    wrong = VALIDATION.assign(label=1 - VALIDATION["label"])
    assert promote("models:/small/1", wrong, alias=alias).promoted
    assert find_holder("small", alias) == "1"


@pytest.mark.parametrize(
    ("uri", "held", "message"),
    [
        (
            "models:/small/4",
            "1",
            "their configs define it otherwise: {'label': {'loss': {'import': ",
        ),
        ("models:/small/3", "5", "small version 5 has no metric 'accuracy', which is what"),
        ("models:/scaled/2", "1", "make other targets of output 'label' of the same records"),
    ],
)
def test_versions_that_cannot_be_compared_are_refused(
    uri: str, held: str, message: str, alias: str
) -> None:
    name = uri.split("/")[1]
    set_alias(name, "kept", held)
    with pytest.raises(PromotionError, match=re.escape(message)):
        promote(uri, VALIDATION, alias="kept")
    assert find_holder(name, "kept") == held


def test_a_score_that_is_no_number_is_refused(alias: str) -> None:
    VALIDATION.assign(a=1e25).to_csv("far.csv", index=False)
    message = r"^loss of scaled version 1 is inf: expected a finite number; look for"
    with pytest.raises(PromotionError, match=message):
        promote("models:/scaled/1", "far.csv", alias=alias)
    assert find_holder("scaled", alias) is None


@pytest.mark.parametrize(
    ("uri", "records", "alias", "error", "message"),
    [
        ("models:/small/1", VALIDATION, "latest", TrackingError, "refuses the alias 'latest'"),
        ("artifacts/small", VALIDATION, "new", TrackingError, "expected a version of a registered"),
        ("models:/small/1", VALIDATION[:0], "new", RecordError, "no records"),
    ],
)
def test_bad_requests(
    uri: str, records: Any, alias: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        promote(uri, records, alias=alias)
    assert find_holder("small", "new") is None
