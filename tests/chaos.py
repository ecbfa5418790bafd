"""Kills trainings at random moments, starts them again, and compares with trainings left alone.

    python tests/chaos.py --kills 100
    python tests/chaos.py --kills 20 --elsewhere
    python tests/chaos.py --kills 30 --processes 2

Each training is the command ``barrage-mlflow train … --resume`` in a process of its own, started
again and again until it ends by itself. What it then leaves must be what a training leaves that
nobody disturbed, to the last bit: weights, optimizer, best weights, report, metrics in MLflow.
The moment of a kill is drawn by the epochs that a training has behind it, not by the clock.

With ``--elsewhere`` each start has a new folder, and goes on with what the run has in MLflow, as
another machine would.

With ``--processes`` each training has so many, which its command starts, and starts again when one
of them was killed. Some kills are of the command itself: then its processes must end with it.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import psutil
from loopback import isolated
from outside import environment, read_weights, wait_for

from barrage_mlflow.workspace.history import Epoch, History

FOREVER = 1_200
"""Seconds within which a training must end."""
AT_MOST = 5
"""Kills of one process of a training."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ORPHANED = 60
"""Seconds within which the processes of a training must end when their command was killed."""


def make_configs(elsewhere: bool) -> dict[str, dict[str, Any]]:
    """Two configs: record form on worker processes, and columns drawn by a count."""

    def stopping(monitor: str, **params: Any) -> dict[str, Any]:
        return {"monitor": monitor, "mode": "min", **params}

    def output(name: str, loss: str, metric: str, weight: float) -> dict[str, Any]:
        components = {"loss": {"import": loss}, "metrics": [{"import": metric}]}
        return {"name": name, **components, "loss_weight": weight}

    patient = stopping("loss", patience=30, min_delta=0, restore_best_weights=True)
    services = {
        "train_early_stopping": patient,
        "validation_early_stopping": stopping("val_sum_loss", patience=5, min_delta=0.001),
        "best_checkpoint": {"monitor": "val_label_accuracy", "mode": "max"},
    }
    often = {"every_steps": 37, "every_minutes": 0.01, "in_mlflow": elsewhere}
    seldom = {"keep": 1, "in_mlflow": elsewhere}
    model = {
        "network": {"import": "chaos_parts.network"},
        "outputs": [
            output("sum", "mse", "mae", 1.0),
            output("label", "sparse_categorical_crossentropy", "accuracy", 0.5),
        ],
    }
    reducer = stopping("val_loss", patience=1, factor=0.5)
    solver = {"batch_size": 16, "epochs": 14, "learning_rate_reducer": reducer}
    columns = {"inputs": {"x": ["a", "b"]}, "outputs": {"sum": "sum", "label": "label"}}
    selector = {"import": "KeySelector", "params": columns}
    own = {
        "loader": {"import": "chaos_parts.Loader"},
        "augmentor": [{"import": "chaos_parts.jitter"}],
    }
    return {
        "records": {
            "dataset": {**own, "seed": 7, "workers": 2},
            "model": model,
            "solver": solver,
            "services": {**services, "resume_checkpoint": often},
        },
        "columns": {
            "dataset": {"loader": selector, "sample_count": "count", "seed": 8},
            "model": model,
            "solver": {**solver, "steps": 210},
            "services": {**services, "resume_checkpoint": seldom},
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


def wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for a training to end; one that never does is killed."""
    try:
        return process.wait(FOREVER)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise RuntimeError(f"{error.cmd} did not end in {FOREVER} s") from None


class Chaos:
    """Kills trainings so many times, in a folder with configs, records and an MLflow store."""

    def __init__(
        self,
        folder: Path,
        kills: int,
        seed: int,
        records: int,
        elsewhere: bool = False,
        processes: int = 1,
    ) -> None:
        self.folder, self.kills, self.elsewhere = folder, kills, elsewhere
        self.processes = processes
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.uri = f"sqlite:///{folder}/mlflow.db"
        for name, config in make_configs(elsewhere).items():
            (folder / f"{name}.json").write_text(json.dumps(config), "utf-8")
        make_records(records, 1).to_csv(folder / "train.csv", index=False)
        make_records(records // 4, 2).to_csv(folder / "validation.csv", index=False)
        shutil.copy(Path(__file__).with_name("chaos_parts.py"), folder)

    def start(self, name: str, out: str, run_id: str | None = None) -> subprocess.Popen[bytes]:
        """Start a training, or go on with it."""
        files = [f"{name}.json", "train.csv", "validation.csv"]
        options = ["--resume", *([run_id] if run_id else []), "--artifact-dir", out]
        command = [sys.executable, "-m", "barrage_mlflow", "train", *files, *options]
        if self.processes > 1:
            command += ["--processes", str(self.processes), "--restarts", "50"]
            command = isolated(command)
        with (self.folder / f"{out}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment(MLFLOW_TRACKING_URI=self.uri),
                stdout=log,
                stderr=log,
                # Where this runs in the background, the shell has Ctrl-C ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def log(self, out: str) -> str:
        """What the trainings of an artifact folder printed."""
        return (self.folder / f"{out}.log").read_text("utf-8")

    def record(self, out: str) -> dict[str, Any]:
        """The run record of an artifact folder; empty where there is none yet."""
        path = self.folder / out / "run.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    def epochs(self, out: str) -> list[Epoch]:
        """The epochs that a training has behind it."""
        return History(self.folder / out / "metrics.jsonl").epochs()

    def fetchable(self, out: str) -> str | None:
        """The run of a training, if MLflow has a checkpoint to go on with."""
        from mlflow import MlflowClient

        run_id = self.record(out).get("run_id")
        files = MlflowClient(self.uri).list_artifacts(run_id, "resume") if run_id else []
        # Beside each checkpoint, and written after it, is a file on what it is.
        return run_id if any(file.path.endswith(".json") for file in files) else None

    def outcome(self, out: str) -> dict[str, Any]:
        """What a training left, in comparable form."""
        from mlflow import MlflowClient

        folder = self.folder / out
        newest = max((folder / "checkpoints" / "resume").glob("[!dp]*.npz"))
        with np.load(newest) as file:
            generators = json.loads(file["state"].tobytes())["memory"]["generators"]
            # No seed reaches TensorFlow's own generator, which nothing here draws from.
            names = set(file.files) - {"state", generators["tensorflow"]["__array__"]}
            arrays = {name: file[name].tobytes() for name in names}
        lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
        run_id = self.record(out)["run_id"]
        client = MlflowClient(self.uri)
        run = client.get_run(run_id)
        points = [
            (point.key, point.step, repr(point.value))
            for key in run.data.metrics
            for point in client.get_metric_history(run_id, key)
        ]
        return {
            "status": (run.info.status, self.record(out)["status"]),
            "checkpoint": newest.name,
            "arrays": arrays,
            "best weights": read_weights(folder / "checkpoints" / "best.weights.h5"),
            "epochs": [{**json.loads(line), "timestamp": 0} for line in lines],
            "report": (folder / "training_report.csv").read_text("utf-8"),
            "metrics": sorted(points),
        }

    def whole(self, name: str) -> tuple[dict[str, Any], list[float]]:
        """What a training leaves that is left alone, and the seconds of each of its parts.

        A part ends with an epoch; the last one is what comes after the epochs.
        """
        out, began = f"{name}-whole", time.time()
        if wait(self.start(name, out)):
            raise RuntimeError(self.log(out))
        moments = [began, *(epoch.timestamp / 1000 for epoch in self.epochs(out)), time.time()]
        click.echo(f"{out}: {len(moments) - 2} epochs in {moments[-1] - began:.0f} s")
        return self.outcome(out), np.diff(moments).tolist()

    def disturbed(
        self, name: str, number: int, parts: Sequence[float]
    ) -> tuple[str, list[str], str]:
        """Kill a training and go on with it until it ends.

        Returns:
            Its last artifact folder, the kills, and what was wrong with an end, if anything was.
        """
        out, run_id, kills, reached = f"{name}-{number}", None, [], 0
        process = self.start(name, out)
        while True:
            if self.done.total() < self.kills and len(kills) < AT_MOST * self.processes:
                self.wait_for_moment(process, out, reached, parts)
            else:
                wait(process)
            if (status := process.poll()) is not None:
                return out, kills, f"status {status}" if status else ""
            kill, wrong = self.kill(process)
            kills.append(kill)
            self.done[kill] += 1
            if wrong:
                return out, kills, wrong
            reached = len(self.epochs(out))
            if process.poll() is None:
                continue  # it starts what was killed again
            if self.elsewhere:
                # One that left nothing to go on with is begun again.
                run_id = self.fetchable(out)
                out = f"{name}-{number}-{len(kills)}"
            process = self.start(name, out, run_id)

    def kill(self, process: subprocess.Popen[bytes]) -> tuple[str, str]:
        """Send a signal to a training, or kill one of several processes that it has.

        Returns:
            What was done, and what was wrong with what came of it.
        """
        command = psutil.Process(process.pid)
        members = sorted(command.children(), key=attrgetter("pid")) if self.processes > 1 else []
        if members and self.chance.random() < 0.75:
            place = self.chance.randrange(len(members))
            with suppress(psutil.NoSuchProcess):
                members[place].kill()
            return f"SIGKILL-{place}", ""
        sent = self.chance.choice(SIGNALS)
        process.send_signal(sent)
        status = wait(process)
        _, left = psutil.wait_procs(members, ORPHANED)
        if left:
            return sent.name, f"{left} have not ended"
        as_it_should = (0, 130, -sent, *([128 + sent] if members else []))
        if sent == signal.SIGKILL or status in as_it_should:
            return sent.name, ""
        return sent.name, f"status {status} after {sent.name}"

    def wait_for_moment(
        self, process: subprocess.Popen[bytes], out: str, reached: int, parts: Sequence[float]
    ) -> None:
        """Wait for a moment in one of the parts that are left, or for the end of the training."""
        # What starts again after each kill had better be killed often than late.
        last = len(parts) if self.processes == 1 else min(len(parts), reached + 5)
        part = self.chance.randrange(reached, last)
        # It begins with the start of the process, which takes most of the first part.
        seconds = parts[0] if part == reached else parts[part]
        wait_for(lambda: process.poll() is not None or len(self.epochs(out)) >= part, FOREVER)
        with suppress(subprocess.TimeoutExpired):
            process.wait(self.chance.random() * seconds)

    def run(self, names: Sequence[str] = ("records", "columns")) -> list[str]:
        """Find what differs from trainings of these configs that were left alone."""
        whole = {name: self.whole(name) for name in names}
        faults: list[str] = []
        for number in range(10 * self.kills):
            if self.done.total() >= self.kills or faults:
                break
            name = names[number % len(names)]
            expected, parts = whole[name]
            out, kills, wrong = self.disturbed(name, number, parts)
            if not wrong:
                outcome = self.outcome(out)
                wrong = ", ".join(key for key in expected if outcome[key] != expected[key])
                # One that crashes is started again, too.
                crashes = {*re.findall(r"was ended by (\w+)", self.log(out))} - {"SIGKILL"}
                wrong = wrong or ", ".join(sorted(crashes))
            click.echo(f"{out}: {' '.join(kills) or 'left alone'}; {wrong or 'the same'}")
            if wrong:
                faults.append(f"{out}: {wrong} after {kills}:\n{self.log(out)}")
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.done.items())
        click.echo(f"{self.done.total()} kills ({kinds}), {len(faults)} faults")
        return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--records", type=int, default=4_000)
    parser.add_argument("--elsewhere", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    found = Chaos(folder, **vars(parser.parse_args())).run()
    click.echo("\n".join(found), err=True)
    sys.exit(bool(found))
