"""A search of twenty minutes on California Housing, by Optuna's TPE and at random.

    python benchmarks/search.py                       seeds 0, 1 and 2: two hours
    python benchmarks/search.py --seconds 60 --seeds 0

Both begin at one config, ``mlp`` without embeddings and with a learning rate of 0.01, with the same
space, jobs and seconds, in turn. A search runs by the command line, tracked in a SQLite store; the
test set is scored by ``predict`` with the model that it leaves. The curves, the best error on the
validation set by the minute, go to build/published/search.png and are printed below the table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from published import BODIES, HOME, NETWORK, california, command, measure

TARGET, GOAL = "MedHouseVal", 0.475
SAMPLERS = ("tpe", "random")
START = {**BODIES["mlp"], f"{NETWORK}.units": [256, 256], "solver.optimizer.learning_rate": 0.01}
SPACE = {
    "solver.optimizer.learning_rate": {"low": 1e-4, "high": 0.1, "log": True},
    "solver.optimizer.params.weight_decay": {"low": 1e-6, "high": 0.1, "log": True},
    "solver.optimizer.params.use_ema": [False, True],
    "solver.batch_size": [128, 256, 512, 1024],
    f"{NETWORK}.numbers": [None, "piecewise_linear", "periodic"],
    f"{NETWORK}.units": [[128, 128], [256, 256], [512, 512], [256, 256, 256], [384, 384, 384]],
    f"{NETWORK}.dropout": {"low": 0.0, "high": 0.5},
}
ENGINE = [sys.executable, "-m", "barrage_mlflow"]

Curve = list[tuple[float, float]]
"""Minutes, and the best error on the validation set until then."""


def prepare(folder: Path) -> dict[str, Path]:
    """Write the sets, and the config to begin at."""
    files = {role: folder / f"{role}.parquet" for role in ("train", "validation", "test")}
    for role, frame in california().items():
        frame.to_parquet(files[role], index=False)
    config = folder / "config.json"
    command("init", ENGINE, files["train"], "--target", TARGET, "-o", config, "--force")
    return {**files, "config": config}


def run(sampler: str, seed: int, seconds: int, folder: Path, files: dict[str, Path]) -> Any:
    """Search, and score the test set: error on it, trials by state, curve."""
    search = folder / "search.json"
    asked = {"space": SPACE, "trials": 10_000, "seed": seed, "sampler": sampler}
    search.write_text(json.dumps(asked))
    home = folder / f"{sampler}-{seed}-{time.time_ns()}"
    changes = {**START, "dataset.seed": seed}
    options = [each for key, value in changes.items() for each in (f"--{key}", json.dumps(value))]
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    command(
        "tune", ENGINE, files["config"], search, files["train"], files["validation"],
        "--jobs", 2, "--timeout", seconds, "--artifact-dir", home, *options,
    )  # fmt: skip
    trials = pd.read_csv(home / "trials.csv")
    best = int(trials.loc[trials["val_loss"].idxmin(), "trial"])
    scores = folder / "scores.jsonl"
    scores.unlink(missing_ok=True)
    command("predict", ENGINE, files["test"], home / "trials" / f"{best:04d}", "-o", scores)
    answers = pd.read_json(scores, lines=True)[TARGET]
    error = measure(pd.read_parquet(files["test"])[TARGET], answers)
    return error, trials["state"].value_counts().to_dict(), curve(home, files["train"])


def curve(home: Path, train: Path) -> Curve:
    """The best error so far, in the target's unit, whenever a trial brought a better one."""
    import optuna

    url = f"sqlite:///{home / 'study.db'}"
    trials = optuna.load_study(study_name="search", storage=url).trials
    began = min(trial.datetime_start for trial in trials)
    scale = pd.read_parquet(train)[TARGET].std(ddof=0)
    points: Curve = []
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    for trial in sorted(done, key=lambda trial: trial.datetime_complete):
        error = float(scale * trial.value**0.5)
        if not points or error < points[-1][1]:
            points.append(((trial.datetime_complete - began).total_seconds() / 60, error))
    return points


def at(points: Curve, minutes: float) -> float:
    """The best error until then."""
    return min((error for when, error in points if when <= minutes), default=float("nan"))


def draw(curves: dict[str, list[Curve]], minutes: float, file: Path) -> None:
    """Draw all curves."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for sampler, color in zip(SAMPLERS, ("#0072B2", "#D55E00"), strict=True):
        for index, points in enumerate(curves[sampler]):
            when, errors = zip(*points, (minutes, points[-1][1]), strict=True)
            label = None if index else sampler
            axes.step(when, errors, where="post", color=color, label=label)
    axes.set(xlabel="minutes", ylabel="best RMSE on the validation set", ylim=(0.44, 0.56))
    axes.legend()
    figure.savefig(file, dpi=110, bbox_inches="tight")


def main() -> int:
    """Print a row for each sampler."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=1200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    folder = HOME / "search"
    folder.mkdir(parents=True, exist_ok=True)
    files = prepare(folder)
    errors: dict[str, list[float]] = {sampler: [] for sampler in SAMPLERS}
    curves: dict[str, list[Curve]] = {sampler: [] for sampler in SAMPLERS}
    for seed in options.seeds:
        for sampler in SAMPLERS:
            error, states, points = run(sampler, seed, options.seconds, folder, files)
            errors[sampler].append(error)
            curves[sampler].append(points)
            print(f"{sampler}, seed {seed}: {error:.4f} {states}", file=sys.stderr, flush=True)
    minutes = options.seconds / 60
    draw(curves, minutes, HOME / "search.png")
    quarters = [minutes * share / 4 for share in (1, 2, 3, 4)]
    print("| sampler | test RMSE | each seed | validation at " + " | ".join(
        f"{when:g} min" for when in quarters) + " |")  # fmt: skip
    print("|---" * 7 + "|")
    for sampler in SAMPLERS:
        each = ", ".join(f"{error:.4f}" for error in errors[sampler])
        reached = (statistics.median(at(c, when) for c in curves[sampler]) for when in quarters)
        shown = " | ".join(f"{error:.4f}" for error in reached)
        print(f"| {sampler} | {statistics.median(errors[sampler]):.4f} | {each} | {shown} |")
    ours, theirs = (statistics.median(errors[sampler]) for sampler in SAMPLERS)
    return int(ours > GOAL or ours > theirs)


if __name__ == "__main__":
    sys.exit(main())
