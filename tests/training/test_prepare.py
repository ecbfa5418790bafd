"""What is made for a training before it starts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from small import TRAIN, VALIDATION, small_config

from barrage_mlflow.dataset import KeySelector
from barrage_mlflow.training.prepare import (
    prepare,
    read_document,
    read_sets,
    resolve,
    write_summary,
)


class Wants(KeySelector):
    def column_kinds(self) -> dict[str, str]:
        return {"label": "number"}


def test_the_kinds_that_a_loader_asks_for_are_those_of_the_training(tmp_path: Path) -> None:
    given = small_config(dataset__loader__import=f"{__name__}.Wants")
    config = resolve(read_document(given))
    sets = read_sets({"train": TRAIN, "validation": VALIDATION}, config["dataset"])
    plan = prepare(config, sets, tmp_path / "transformer")
    assert plan.schema.columns["label"].kind == "number"
    assert {str(records["label"].dtype) for records in plan.sets.values()} == {"float64"}


def test_summaries_on_two_threads_take_turns_at_the_width_of_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    inside, seen = [], []

    def summary(print_fn: Callable[[str], None], line_length: int) -> None:
        inside.append(1)
        time.sleep(0.1)
        seen.append((len(inside), os.environ["COLUMNS"], line_length))
        print_fn("Model")
        inside.pop()

    network = SimpleNamespace(summary=summary)
    paths = [tmp_path / "a", tmp_path / "b"]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda path: write_summary(network, path), paths))
    assert seen == [(1, "120", 120)] * 2
    assert [path.read_text() for path in paths] == ["Model\n"] * 2
    assert os.environ["COLUMNS"] == "40"
