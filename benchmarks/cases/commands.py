"""Whole commands, from their start to their end, and what packaging takes of them."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

from data import build_mlp, features_config, few, mlp_config, patience, read_arrays, table
from harness import MB, ROOT, Bench, Row, in_turn

IRIS, PENGUINS = ROOT / "examples" / "iris", ROOT / "examples" / "penguins"
TABLES = [str(IRIS / "train.csv"), str(IRIS / "validation.csv")]
BY_HAND = str(Path(__file__).with_name("iris_by_hand.py"))


def measure_iris(bench: Bench) -> list[Row]:
    """Measure both whole processes."""
    epochs = bench.size(50, 3)
    config = json.loads((IRIS / "config.json").read_text("utf-8"))
    config["solver"]["epochs"], config["services"] = epochs, {**patience(epochs), "evaluation": {}}

    def seconds(report: str, *command: str) -> float:
        with bench.folder() as folder:
            (folder / "config.json").write_text(json.dumps(config), "utf-8")
            done = bench.command([sys.executable, *command], folder)
            trained = len((folder / report).read_text("utf-8").splitlines()) - 1
        if trained != epochs:
            raise ValueError(f"{command[0]}: expected {epochs} epochs, got {trained}")
        return done.seconds

    train = ["-m", "barrage_mlflow", "train", "config.json", *TABLES, "--artifact-dir", "run"]
    sides = {
        "ours": lambda: seconds("run/training_report.csv", *train),
        "peer": lambda: seconds("report.csv", BY_HAND, *TABLES, str(epochs)),
    }
    if not bench.short:
        in_turn(1, sides)  # what is imported first comes from the disk
    taken = bench.in_turn(**sides)
    return [Row("iris", "script by hand", "s", taken["ours"], taken["peer"], "≤ 0.9")]


def measure_check(bench: Bench) -> list[Row]:
    """Measure the command on the penguins' config, each process a fresh one."""
    times = bench.size(21, 2)
    command = [sys.executable, "-m", "barrage_mlflow", "check", "config.json"]
    taken = [bench.command(command, PENGUINS).seconds for _ in range(times)]
    return [Row("check", "0.3 s", "s", taken, [0.3] * times, "≤ 1.0")]


def train_on_features(path: str, table: str) -> None:
    """Train a model to evaluate, in an artifact folder."""
    from barrage_mlflow import BarrageModel

    BarrageModel(path).train(features_config(256, epochs=1), table, table)


def measure_evaluate(bench: Bench) -> list[Row]:
    """Measure whole processes of ``evaluate`` with its report and of ``predict``, on one file."""
    records = bench.size(2_000_000, 5_000)
    path = table(bench, records, seed=1)
    with bench.folder() as folder:
        model = str(folder / "model")
        bench.call(train_on_features, path=model, table=few(bench))
        start = [sys.executable, "-m", "barrage_mlflow"]
        taken = bench.in_turn(
            ours=lambda: bench.command([*start, "evaluate", path, model, "-o", "report"], folder),
            peer=lambda: bench.command([*start, "predict", path, model, "-o", "s.csv"], folder),
        )
    seconds = [[done.seconds for done in taken[side]] for side in ("ours", "peer")]
    peaks = [statistics.median(done.peak / MB for done in taken[side]) for side in taken]
    note = f"peak {peaks[0]:.0f} MB, predict {peaks[1]:.0f} MB"
    return [Row("evaluate", "predict", "s", *seconds, "≤ 1.3", note)]


def measure_search(bench: Bench) -> list[Row]:
    """Measure one process that trains the trials of a search, from the second trial on."""
    trials, epochs = bench.size(50, 3), bench.size(60, 2)
    config = mlp_config(256, epochs)
    config["services"]["callbacks"] = [{"import": "marks.Marks"}]
    rates = {"low": 1e-4, "high": 1e-2, "log": True}
    space = {"solver.optimizer.learning_rate": rates}
    search = {"trials": trials, "pruner": None, "sampler": "random", "space": space}
    files = table(bench, bench.size(200_000, 2_000), seed=1), few(bench)
    with bench.folder() as folder:
        for name, value in (("config", config), ("search", search)):
            (folder / f"{name}.json").write_text(json.dumps(value), "utf-8")
        shutil.copy(Path(__file__).with_name("marks.py"), folder)
        command = [sys.executable, "-m", "barrage_mlflow", "tune", "config.json", "search.json"]
        bench.command([*command, *files, "--artifact-dir", "out"], folder)
        rows = [*csv.DictReader((folder / "out" / "trials.csv").open(encoding="utf-8"))]
        lines = (folder / "marks.jsonl").read_text("utf-8").splitlines()
    marks = [json.loads(line) for line in lines]
    ours = [float(row["seconds"]) for row in rows[1:]]
    peer = [mark["seconds"] for mark in marks[1:]]
    apart = statistics.median(a - b for a, b in zip(ours, peer, strict=True))
    memory = [mark["rss"] / MB for mark in marks]
    last, first = statistics.median(memory[-5:]), statistics.median(memory[:5])
    return [
        Row("search", "its epochs", "s a trial", ours, peer, "≤ 1.15", f"{apart:.2f} s apart"),
        Row("search, memory", "first trials", "MB", [last], [first], "≤ 1.05", f"{trials} trials"),
    ]


def seconds_to_package(table: str) -> dict[str, float]:
    """Train; return the seconds from the best weights to the logged model, by part."""
    from barrage_mlflow import BarrageModel
    from barrage_mlflow.tracking import publisher
    from barrage_mlflow.training import train

    taken: dict[str, float] = {}

    def timed(owner: Any, name: str) -> Any:
        whole = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            returned = whole(*arguments, **named)
            taken[name] = time.perf_counter() - start
            return returned

        return mock.patch.object(owner, name, call)

    exported, packaged = timed(train, "save_model"), timed(train, "package_model")
    with exported, packaged, timed(publisher, "log_model"):
        BarrageModel("artifacts").train(mlp_config(256, epochs=1), table, table)
    return taken


def seconds_to_log(table: str) -> float:
    """Train; return the seconds that MLflow takes to log the network."""
    import mlflow
    import mlflow.tensorflow
    from mlflow.models import infer_signature

    from barrage_mlflow.scoring.dependencies import requirements

    x, y = read_arrays(table)
    network = build_mlp()
    network.fit(x, y, batch_size=256, verbose=0)
    example, pins = x[:5], requirements()  # ours is of five records too
    with mlflow.start_run():
        signature = infer_signature(example, network.predict(example, verbose=0))
        start = time.perf_counter()
        mlflow.tensorflow.log_model(
            network, name="model", signature=signature, input_example=example, pip_requirements=pins
        )
        return time.perf_counter() - start


def measure_log_model(bench: Bench) -> list[Row]:
    """Measure some trainings of each side."""
    table = few(bench)
    sides = {
        "ours": lambda: bench.call(seconds_to_package, table=table),
        "peer": lambda: bench.call(seconds_to_log, table=table),
    }
    taken: dict[str, list[Any]] = in_turn(bench.size(3, 1) * bench.rounds, sides)
    mine = [sum(parts.values()) for parts in taken["ours"]]
    medians = {
        part: statistics.median(each[part] for each in taken["ours"]) for part in taken["ours"][0]
    }
    note = ", ".join(f"{part} {seconds:.2f}" for part, seconds in medians.items())
    return [Row("log_model", "Keras flavor", "s", mine, taken["peer"], "≤ 1.5", note)]


CASES = {
    "log_model": measure_log_model,
    "iris": measure_iris,
    "check": measure_check,
    "evaluate": measure_evaluate,
    "search": measure_search,
}
