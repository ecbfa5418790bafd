"""What is made for a training before it starts."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from small import TRAIN, VALIDATION, small_config

from barrage_mlflow.dataset import KeySelector
from barrage_mlflow.dataset.components.reading import ask_kinds
from barrage_mlflow.errors import RecordError
from barrage_mlflow.training.prepare import prepare, read_document, read_sets, resolve
from barrage_mlflow.training.settled import settle_training


class Wants(KeySelector):
    def column_kinds(self) -> dict[str, str]:
        return {"label": "number"}


def test_the_kinds_that_a_loader_asks_for_are_those_of_the_training(tmp_path: Path) -> None:
    given = small_config(dataset__loader__import=f"{__name__}.Wants")
    config = resolve(read_document(given), {})
    sets = read_sets({"train": TRAIN, "validation": VALIDATION}, config["dataset"])
    plan = prepare(config, ask_kinds(config, sets), tmp_path / "transformer")
    assert plan.schema.columns["label"].kind == "number"
    assert {str(records["label"].dtype) for records in plan.sets.values()} == {"float64"}


def test_the_validation_set_is_read_as_the_train_set_is(tmp_path: Path) -> None:
    TRAIN.assign(a=range(60), id=["A1", "12"] * 30).to_csv("t.csv", index=False)
    VALIDATION.assign(a=[*range(19), None], id=12).to_csv("v.csv", index=False)
    config = resolve(read_document(small_config()), {})
    sets = read_sets({"train": "t.csv", "validation": "v.csv"}, config["dataset"])
    assert sets["validation"].values("id") == ["12"] * 20
    fault = "v.csv, record 19 (line 21), column 'a': expected a whole number, got a missing value"
    with pytest.raises(RecordError, match=f"^{re.escape(fault)}"):
        prepare(config, ask_kinds(config, sets), tmp_path / "transformer")


def test_a_set_that_has_the_train_records_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    TRAIN.to_csv("t.csv", index=False)
    sets = {"train": "t.csv", "validation": VALIDATION, "test": shutil.copy("t.csv", "same.csv")}
    settle_training(read_document(small_config()), sets)
    assert caplog.messages == [
        "test has the same records as train: figures on them say nothing about new ones; "
        "`barrage-mlflow split` makes sets"
    ]
