"""What is made for a training before it starts."""

from __future__ import annotations

from pathlib import Path

from small import TRAIN, VALIDATION, small_config

from barrage_mlflow.dataset import KeySelector
from barrage_mlflow.dataset.components.reading import ask_kinds
from barrage_mlflow.training.prepare import prepare, read_document, read_sets, resolve


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
