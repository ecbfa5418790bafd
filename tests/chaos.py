"""Kills trainings at random moments, starts them again, and compares with trainings left alone.

    python tests/chaos.py --kills 100
    python tests/chaos.py --kills 20 --elsewhere

Each training is the command ``barrage-mlflow train … --resume`` in a process of its own, started
again and again until it ends by itself. What it then leaves must be what a training leaves that
nobody disturbed, to the last bit: weights, optimizer, best weights, report, metrics in MLflow.

With ``--elsewhere`` each start has a new folder, and goes on with what the run holds in MLflow, as
another machine would.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TESTS = Path(__file__).parent
FOREVER = 600
"""Seconds within which a training must end."""
_AT_MOST = 5
"""Kills of one training."""


def make_configs() -> dict[str, dict[str, Any]]:
    """Two configs: record form on worker processes, and columns drawn by a count."""
    services = {
        "train_early_stopping": {
            "monitor": "loss",
            "mode": "min",
            "patience": 30,
            "min_delta": 0,
            "restore_best_weights": True,
        },
        "validation_early_stopping": {
            "monitor": "val_sum_loss",
            "mode": "min",
            "patience": 5,
            "min_delta": 0.001,
        },
        "best_checkpoint": {"monitor": "val_label_accuracy", "mode": "max"},
        "resume_checkpoint": {"every_steps": 37, "every_minutes": 0.01},
    }
    outputs = [
        {
            "name": "sum",
            "loss": {"import": "mse"},
            "metrics": [{"import": "mae"}],
            "loss_weight": 1.0,
        },
        {
            "name": "label",
            "loss": {"import": "sparse_categorical_crossentropy"},
            "metrics": [{"import": "accuracy"}],
            "loss_weight": 0.5,
        },
    ]
    reducer = {"monitor": "val_loss", "mode": "min", "patience": 1, "factor": 0.5}
    solver = {"batch_size": 16, "epochs": 14, "learning_rate_reducer": reducer}
    model = {"network": {"import": "chaos_parts.network"}, "outputs": outputs}
    selector = {
        "import": "KeySelector",
        "params": {"inputs": {"x": ["a", "b"]}, "outputs": {"sum": "sum", "label": "label"}},
    }
    jitter = [{"import": "chaos_parts.jitter"}]
    return {
        "records": {
            "dataset": {
                "loader": {"import": "chaos_parts.Loader"},
                "augmentor": jitter,
                "seed": 7,
                "workers": 2,
            },
            "model": model,
            "solver": solver,
            "services": services,
        },
        "columns": {
            "dataset": {"loader": selector, "sample_count": "count", "seed": 8},
            "model": model,
            "solver": {**solver, "steps": 210},
            "services": {**services, "resume_checkpoint": {"keep": 1}},
        },
    }


def make_records(count: int, seed: int) -> pd.DataFrame:
    """Columns a, b, sum, label and count."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(count, 2)), columns=["a", "b"])
    frame["sum"] = frame["a"] * frame["b"] + generator.normal(size=count) / 4
    frame["label"] = (frame["a"] + generator.normal(size=count) / 2 > 0).astype("int64")
    frame["count"] = generator.integers(0, 3, count)
    return frame


class Project:
    """A folder with configs, records and an MLflow store."""

    def __init__(self, folder: Path, records: int) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder}/mlflow.db"
        for name, config in make_configs().items():
            (folder / f"{name}.json").write_text(json.dumps(config), "utf-8")
        make_records(records, 1).to_csv(folder / "train.csv", index=False)
        make_records(records // 4, 2).to_csv(folder / "validation.csv", index=False)
        (folder / "chaos_parts.py").write_text((TESTS / "chaos_parts.py").read_text("utf-8"))

    def start(
        self, name: str, artifact_dir: str, run_id: str | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a training, or go on with it."""
        files = [f"{name}.json", "train.csv", "validation.csv"]
        options = ["--resume", *([run_id] if run_id else []), "--artifact-dir", artifact_dir]
        with (self.folder / f"{artifact_dir}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "barrage_mlflow", "train", *files, *options],
                cwd=self.folder,
                env={**os.environ, "MLFLOW_TRACKING_URI": self.uri},
                stdout=log,
                stderr=log,
                # Where this runs in the background, the shell has Ctrl-C ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def fetchable(self, artifact_dir: str) -> str | None:
        """The run of a training, if it holds something to go on with."""
        from mlflow import MlflowClient

        about = self.folder / artifact_dir / "run.json"
        if not about.exists():
            return None
        run_id: str = json.loads(about.read_text("utf-8"))["run_id"]
        client = MlflowClient(self.uri)
        held = (client.list_artifacts(run_id, f"resume/{slot}") for slot in "ab")
        names = {Path(file.path).name for files in held for file in files}
        return run_id if "manifest.json" in names else None

    def outcome(self, artifact_dir: str) -> dict[str, Any]:
        """What a training left, in comparable form."""
        import h5py
        from mlflow import MlflowClient

        from barrage_mlflow.services import find_checkpoint
        from barrage_mlflow.workspace.history import History

        folder = self.folder / artifact_dir
        history = History(folder / "metrics.jsonl")
        checkpoint = find_checkpoint(folder, history)
        assert checkpoint is not None
        best: dict[str, bytes] = {}

        def collect(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                best[name] = np.asarray(item).tobytes()

        with h5py.File(folder / "checkpoints" / "best.weights.h5") as file:
            file.visititems(collect)
        run_id = json.loads((folder / "run.json").read_text("utf-8"))["run_id"]
        client = MlflowClient(self.uri)
        run = client.get_run(run_id)
        points = [point for key in run.data.metrics for point in history(client, run_id, key)]
        return {
            "status": run.info.status,
            "epochs": checkpoint.epochs,
            "logs": [epoch.metrics for epoch in history.epochs()],
            "arrays": {name: array.tobytes() for name, array in checkpoint.arrays.items()},
            "best": best,
            "report": (folder / "training_report.csv").read_text("utf-8"),
            "metrics": sorted(points),
        }


def history(client: Any, run_id: str, key: str) -> list[tuple[str, int, str]]:
    """The points of a metric, without their times."""
    points = client.get_metric_history(run_id, key)
    return [(point.key, point.step, repr(point.value)) for point in points]


def say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def run(folder: Path, kills: int, seed: int, records: int, elsewhere: bool = False) -> list[str]:
    """Kill trainings so many times; tell every difference that was found."""
    project = Project(folder, records)
    whole, seconds = {}, {}
    for name in make_configs():
        began = time.monotonic()
        process = project.start(name, f"{name}-whole")
        if process.wait(FOREVER):
            raise RuntimeError((folder / f"{name}-whole.log").read_text("utf-8"))
        seconds[name] = time.monotonic() - began
        whole[name] = project.outcome(f"{name}-whole")
        say(f"{name}: {whole[name]['epochs']} epochs in {seconds[name]:.0f} s")
    chance = random.Random(seed)
    faults: list[str] = []
    done: Counter[str] = Counter()
    longest = 0.0
    for number in range(10 * kills):
        if done.total() >= kills:
            break
        name = list(whole)[number % len(whole)]
        artifact_dir = f"{name}-{number}"
        here: list[str] = []
        run_id: str | None = None
        while True:
            process = project.start(name, artifact_dir, run_id)
            killing = done.total() < kills and len(here) < _AT_MOST
            patience = chance.uniform(0.1, 1) * seconds[name] if killing else FOREVER
            try:
                status = process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                sent = chance.choice([signal.SIGKILL, signal.SIGTERM])
            process.send_signal(sent)
            asked = time.monotonic()
            process.wait(FOREVER)
            if sent == signal.SIGTERM:
                longest = max(longest, time.monotonic() - asked)
            here.append(f"{sent.name} ({time.monotonic() - asked:.1f} s)")
            done[sent.name] += 1
            if elsewhere:
                # One that left nothing to go on with is begun again.
                run_id = project.fetchable(artifact_dir)
                artifact_dir = f"{name}-{number}-{len(here)}"
        if status:
            said = (folder / f"{artifact_dir}.log").read_text("utf-8")
            faults.append(f"{artifact_dir} ended with status {status} after {here}:\n{said}")
        outcome = {} if faults else project.outcome(artifact_dir)
        different = [key for key in whole[name] if outcome.get(key) != whole[name][key]]
        if different:
            faults.append(f"{artifact_dir} differs after {here} in {', '.join(different)}")
        say(f"{artifact_dir}: {here or 'left alone'}; {different or 'the same'}")
        if faults:
            break
    kinds = ", ".join(f"{count} {kind}" for kind, count in done.items())
    say(f"{done.total()} kills ({kinds}), {len(faults)} faults")
    say(f"SIGTERM to the end of the process: at most {longest:.1f} s")
    return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--records", type=int, default=4_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--elsewhere", action="store_true")
    options = parser.parse_args()
    place = options.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    place.mkdir(exist_ok=True)
    found = run(place.resolve(), options.kills, options.seed, options.records, options.elsewhere)
    say(*found)
    sys.exit(bool(found))
