"""A small training as a whole process, from the command to the packaged model."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import ROOT, Bench, Case, CaseError, Goal, Row

FOLDER = ROOT / "examples" / "iris"
TABLES = [str(FOLDER / "train.csv"), str(FOLDER / "validation.csv")]
BY_HAND = str(Path(__file__).with_name("iris_by_hand.py"))


def patient_config(epochs: int) -> str:
    """The example's config, with early stopping on but too patient to stop."""
    config = json.loads((FOLDER / "config.json").read_text("utf-8"))
    config["solver"]["epochs"] = epochs
    patience = {"mode": "min", "patience": epochs, "min_delta": 0}
    config["services"] = {
        "train_early_stopping": {"monitor": "loss", **patience},
        "validation_early_stopping": {"monitor": "val_loss", **patience},
    }
    return json.dumps(config)


def measure(bench: Bench) -> list[Row]:
    """Measure both whole processes."""
    epochs = bench.size(50, 3)

    def seconds(command: Sequence[str], report: str) -> float:
        with bench.folder() as folder:
            (folder / "config.json").write_text(patient_config(epochs), "utf-8")
            done = bench.command([sys.executable, *command], folder)
            trained = len((folder / report).read_text("utf-8").splitlines()) - 1
            if trained != epochs:
                raise CaseError(f"{command[0]}: expected {epochs} epochs, got {trained}")
            return done.seconds

    engine = ["-m", "barrage_mlflow", "train", "config.json", *TABLES, "--artifact-dir", "run"]
    hand = [BY_HAND, *TABLES, str(epochs)]
    if not bench.short:  # what is imported first comes from the disk
        seconds(engine, "run/training_report.csv")
        seconds(hand, "report.csv")
    taken = bench.in_turn(
        ours=lambda: seconds(engine, "run/training_report.csv"),
        peer=lambda: seconds(hand, "report.csv"),
    )
    return [
        Row("iris", "script by hand", "s", taken["ours"], taken["peer"], Goal(0.7, at_most=True))
    ]


CASES = [
    Case(
        "iris",
        """\
`examples/iris`, 50 epochs, batch 16: seconds from the start to the end of a fresh process, each in
an empty folder with a new SQLite store, after one round that is not counted. Ours is
`barrage-mlflow train`: all services, tracking and the packaged model. The peer is
`benchmarks/cases/iris_by_hand.py`: the same network, optimizer and batch size with
`mlflow.tensorflow.autolog` and Keras's callbacks: TensorBoard, a checkpoint of the best and of the
last epoch, a CSV log and two early stoppings; it logs the best model with signature, input example
and given requirements, which is quicker than to have autolog log it. Early stopping is
on, on both sides, with a patience that lets all epochs run.""",
        measure,
    )
]
