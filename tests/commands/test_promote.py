"""Promotion: what is compared, what moves the alias, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from answers import outcome_of
from small import small_config, small_frame

from barrage_mlflow import Promotion, PromotionError, RecordError, TrackingError, promote, train
from barrage_mlflow.commands.promote import _find_metric
from barrage_mlflow.tracking.registry import find_holder, set_alias


def frame(records: int, seed: int) -> pd.DataFrame:
    made = small_frame(records, seed)
    return made.assign(other=1 - made["label"], sum=100 * (made["a"] + made["b"]))


TRAIN, VALIDATION = frame(60, seed=0), frame(40, seed=1)


def registered(name: str, frame: pd.DataFrame = TRAIN, **values: Any) -> dict[str, float]:
    """Train a version of a registered model; its metrics at the best epoch."""
    return train(small_config(**values), frame, VALIDATION, register=name).metrics


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def trained(home: Path) -> list[dict[str, float]]:
    """The metrics of the versions of ``small``; ``scaled`` has two that scale targets otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        other = {"inputs": {"x": ["a", "b"]}, "outputs": {"label": "other"}}
        versions = [
            registered("small", solver__epochs=1),
            registered("small", solver__epochs=8),
            registered("small", dataset__loader__params=other, solver__epochs=1),
        ]
        scaled = {
            "dataset__transformer": {"import": "measured_parts.Scaler"},
            "dataset__loader__params": {"inputs": {"x": ["a", "b"]}, "outputs": {"sum": "sum"}},
            "model__outputs": [{"name": "sum", "loss": {"import": "mse"}}],
            "model__network__params__layers": [
                {"import": "Input", "params": {"shape": [2], "name": "x"}},
                {"import": "Dense", "params": {"units": 1, "name": "sum"}},
            ],
            "solver__epochs": 30,
        }
        registered("scaled", **scaled)
        registered("scaled", TRAIN.assign(sum=TRAIN["sum"] * 3), **scaled)
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
        ("2", "1", "2", "moved: @{} now leads to version 2 (log_loss: lower is better)"),
        ("1", "2", "2", "not moved: @{} stays with version 2 (log_loss: lower is better)"),
        ("1", None, "1", "set: @{} leads to version 1; it led nowhere"),
        ("1", "1", "1", "not moved: @{} leads to version 1 already"),
    ],
    ids=["better", "worse", "led nowhere", "has it already"],
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
    assert promotion == Promotion("small", alias, version, before, "log_loss", "min", losses)
    assert promotion.promoted == (after == version)
    assert find_holder("small", alias) == after
    *_, last = promotion.report.splitlines()
    assert last == verdict.format(alias)


@pytest.mark.parametrize("metric", ["accuracy", "label_accuracy"])
def test_another_metric_decides(alias: str, metric: str) -> None:
    set_alias("small", alias, "1")
    promotion = promote("models:/small/2", VALIDATION, alias=alias, metric=metric)
    new, old = promotion.scores["2"], promotion.scores["1"]
    expected = Promotion("small", alias, "2", "1", "accuracy", "max", {"2": new, "1": old})
    assert promotion == expected
    assert promotion.report.endswith(" (accuracy: higher is better)")
    assert 0 < new * len(VALIDATION) == pytest.approx(round(new * len(VALIDATION)))
    assert promotion.promoted == (new >= old) == (find_holder("small", alias) == "2")


def test_a_metric_is_found_by_its_whole_name() -> None:
    one = outcome_of("number", [1.0, 2.0], [1.0, 3.0])
    outcomes = {"unit_price": one, "price": one}
    asked = ("price_rmse", "rmse", "unit_price_mae")
    assert [(name, metric.name) for name, metric in (_find_metric(outcomes, a) for a in asked)] == [
        ("price", "rmse"), ("unit_price", "rmse"), ("unit_price", "mae"),
    ]  # fmt: skip
    tags = {"tags": outcome_of("category", [0, 1], [0, 1])}
    with pytest.raises(PromotionError, match="there is no metric 'precision'"):
        _find_metric(tags, "precision")


def test_a_model_of_targets_on_another_scale_can_win(alias: str) -> None:
    set_alias("scaled", alias, "2")
    promotion = promote("models:/scaled/1", VALIDATION, alias=alias)
    assert promotion.metric == "rmse"
    assert promotion.scores["1"] < promotion.scores["2"] / 1.5
    assert find_holder("scaled", alias) == "1"


def test_the_records_decide_and_not_the_training(alias: str) -> None:
    set_alias("small", alias, "2")
    wrong = VALIDATION.assign(label=1 - VALIDATION["label"])
    assert promote("models:/small/1", wrong, alias=alias).promoted
    assert find_holder("small", alias) == "1"


def test_versions_that_cannot_be_compared_are_refused() -> None:
    set_alias("small", "kept", "1")
    with pytest.raises(PromotionError, match="by 'label': their loaders and transformers give"):
        promote("models:/small/3", VALIDATION, alias="kept")
    assert find_holder("small", "kept") == "1"


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("roc_auc", "roc_auc of small version 1 is nan: it is not defined on these records"),
        ("acuracy", "no metric 'acuracy'; did you mean 'accuracy'?"),
        ("bias", "no metric 'bias'; "),
    ],
)
def test_metrics_that_decide_nothing(alias: str, metric: str, message: str) -> None:
    some = VALIDATION[VALIDATION["label"] == 1]
    with pytest.raises(PromotionError, match=re.escape(message)):
        promote("models:/small/1", some, alias=alias, metric=metric)
    assert find_holder("small", alias) is None


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
