"""Kills searches at random moments, starts them again, and looks at what they leave.

    python tests/chaos_search.py --kills 30 --trials 40

A search is the command ``barrage-mlflow tune`` with its processes. Each kill is a SIGKILL of one of
them, the search itself or a worker; every fifth is a SIGTERM, on which it ends in good order. At
the end there are as many trials as were asked for, each with one finished run in MLflow that has
every epoch once; with one job, the same trials with the same values to the last bit as a search
that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import psutil
from outside import environment

EXAMPLE = Path(__file__).parents[1] / "examples" / "iris"
SPACE = {
    "solver.optimizer.learning_rate": {"low": 1e-3, "high": 0.3, "log": True},
    "solver.batch_size": [16, 32, 64],
    "solver.optimizer.import": ["Adam", "SGD"],
    "solver.optimizer.params.momentum": {
        "low": 0.0, "high": 0.9, "when": {"solver.optimizer.import": "SGD"},
    },
}  # fmt: skip
INTERRUPTED = 130
FOREVER = 3600
"""Seconds within which a search must end."""


def store_of(home: Path) -> str:
    """Where MLflow keeps the runs of a search."""
    return f"sqlite:///{home / 'mlflow.db'}"


def start(home: Path, jobs: int, trials: int) -> subprocess.Popen[bytes]:
    """Start a search, or go on with it."""
    search = home / "search.json"
    search.write_text(json.dumps({"seed": 3, "trials": trials, "space": SPACE}), "utf-8")
    files = [EXAMPLE / "config.json", search, EXAMPLE / "train.csv", EXAMPLE / "validation.csv"]
    options = ["--artifact-dir", home / "out", "--jobs", jobs, "--threads", 1]
    command = [sys.executable, "-m", "barrage_mlflow", "tune", *files, *options]
    command += ["--solver.epochs", 25]
    with (home / "output.log").open("ab") as output:
        return subprocess.Popen(
            [*map(str, command)],
            cwd=home,
            env=environment(MLFLOW_TRACKING_URI=store_of(home)),
            stdout=output,
            stderr=output,
        )


def run(home: Path, jobs: int, trials: int, kills: int, seed: int) -> int:
    """Run a search to its end; so many times one of its processes is killed.

    Returns:
        How many kills there were.
    """
    home.mkdir()
    rng, done, until = random.Random(seed), 0, time.monotonic() + FOREVER
    process = start(home, jobs, trials)
    while time.monotonic() < until:
        if done < kills:
            with suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.5, 10))
        else:
            process.wait(until - time.monotonic())
        if process.poll() == 0:
            return done
        if process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                search = psutil.Process(process.pid)
                workers = [p for p in search.children() if "spawn_main" in " ".join(p.cmdline())]
                done += 1
                deadly = signal.SIGKILL if done % 5 else signal.SIGTERM
                rng.choice([search, *workers]).send_signal(deadly)
            time.sleep(0.1)
        elif process.poll() not in (-signal.SIGKILL, INTERRUPTED):
            sys.exit((home / "output.log").read_text("utf-8", "replace")[-4000:])
        if process.poll() is not None:
            process = start(home, jobs, trials)
    sys.exit("the search did not end")


def trials_of(home: Path) -> list[tuple[Any, ...]]:
    """State, metric and values of each trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{home / 'out/study.db'}")
    return [(t.state.name, t.value, t.intermediate_values, t.params) for t in study.get_trials()]


def faults_of(home: Path, trials: int) -> list[str]:
    """What is not as it must be at the end of a search."""
    import mlflow

    found = trials_of(home)
    faults = [] if len(found) == trials else [f"{len(found)} trials"]
    states = Counter(state for state, *_ in found)
    if set(states) - {"COMPLETE", "PRUNED"}:
        faults.append(f"states: {states}")
    client = mlflow.MlflowClient(store_of(home))
    runs = client.search_runs(["0"], max_results=5000)
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    if len(nested) != trials or len(runs) != trials + 1:
        faults.append(f"{len(nested)} runs of trials, {len(runs)} in all")
    faults += [
        f"{run.info.run_name} is {run.info.status}" for run in runs if run.info.status != "FINISHED"
    ]
    for run in nested:
        number = int(run.info.run_name.split()[1])
        steps = [m.step for m in client.get_metric_history(run.info.run_id, "val_loss")]
        epochs = len(found[number][2])
        if sorted(steps) != [*range(1, epochs + 1)]:
            faults.append(f"{run.info.run_name}: epochs {steps}, {epochs} reported")
    models = client.search_logged_models(["0"])
    if len(models) != 1:
        faults.append(f"{len(models)} models")
    return faults


def main() -> int:
    """Compare a search that is killed with one that is not, then kill one of two jobs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30, help="in all, a quarter with one job")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, faults, kills = Path(folder), [], 0
        run(home / "alone", 1, asked.trials, 0, asked.seed)
        kills += run(home / "one", 1, asked.trials, asked.kills // 4, asked.seed)
        alone, one = trials_of(home / "alone"), trials_of(home / "one")
        differ = [n for n, pair in enumerate(zip(alone, one, strict=False)) if pair[0] != pair[1]]
        faults += [f"trial {n} differs: {alone[n]} {one[n]}" for n in differ]
        kills += run(home / "two", 2, asked.trials, asked.kills - kills, asked.seed)
        for name in ("alone", "one", "two"):
            faults += [f"{name}: {fault}" for fault in faults_of(home / name, asked.trials)]
    click.echo("\n".join([*faults, f"{kills} kills, {len(faults)} faults"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
