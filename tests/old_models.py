"""Models and runs of earlier versions under this one: they score alike, and no run goes on.

    python tests/old_models.py            every version that is named below
    python tests/old_models.py e18dc6c    one of them, by its commit

Each is taken from the history, trains examples/penguins in this environment, scores the validation
records, and is killed in a second training. Then this version scores the same records with the
model that was packaged, by ``predict``, ``mlflow.pyfunc`` and ``mlflow models serve``, and is asked
to resume the training.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from outside import ROOT, environment, invoke, run, serving, wait_for

VERSIONS = {
    "e18dc6c": "before columns were typed once, and before the rooms",
    "078eba5": "before columns were typed once",
}
PENGUINS = "examples/penguins"
SETS = [f"{PENGUINS}/{name}" for name in ("config.json", "train.csv", "validation.csv")]
PYFUNC = """
import json, sys
import mlflow, pandas
frame = pandas.DataFrame(json.loads(sys.argv[2]))
print(json.dumps(mlflow.pyfunc.load_model(sys.argv[1]).predict(frame).to_dict("records")))
"""


def command(home: Path, *words: object) -> list[str]:
    """A command of the version in a folder, which comes before what is installed."""
    path = f"import sys; sys.path[:0] = [{str(home)!r}]"
    code = f"{path}; from barrage_mlflow.cli import main; main()"
    return [sys.executable, "-c", code, *map(str, words)]


def variables(folder: Path) -> dict[str, str]:
    uri = f"sqlite:///{folder}/mlflow.db"
    return environment(MLFLOW_TRACKING_URI=uri, MLFLOW_ARTIFACT_ROOT=str(folder))


def call(home: Path, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the version in a folder, there."""
    return subprocess.run(
        command(home, *words),
        cwd=home,
        env=variables(folder),
        capture_output=True,
        text=True,
        check=False,
    )


def must(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise RuntimeError(f"{done.args}\n{done.stdout}{done.stderr}")


def take(commit: str, home: Path) -> None:
    """Write the files of a commit to a folder."""
    git = ["git", "archive", commit]
    packed = subprocess.run(git, cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(home, filter="data")


def kill_midway(old: Path, folder: Path) -> None:
    """Kill a training of the old version once it has a checkpoint to go on from."""
    options = ["--artifact-dir", folder / "killed", "--solver.epochs", 5000]
    process = subprocess.Popen(
        command(old, "train", *SETS, *options),
        cwd=old,
        env=variables(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: any((folder / "killed").glob("checkpoints/resume/*")) or process.poll())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def faults(commit: str, folder: Path) -> list[str]:
    """What differs under this version, for a model and a run of an earlier one."""
    import pandas as pd
    from mlflow.models import Model

    old, model = folder / "old", folder / "trained"
    take(commit, old)
    train = ["--artifact-dir", model, "--solver.epochs", 20]
    must(call(old, folder, "train", *SETS, *train))
    before, now = folder / "before.jsonl", folder / "now.jsonl"
    must(call(old, folder, "predict", old / SETS[2], model, "-o", before))
    must(call(ROOT, folder, "predict", old / SETS[2], model, "-o", now))
    want = [json.loads(line) for line in before.read_text("utf-8").splitlines()]
    found = []
    if now.read_bytes() != before.read_bytes():
        found.append("predict: other bytes")
    packaged = model / "model"
    needed = Model.load(packaged).get_input_schema().input_names()
    records = pd.read_csv(old / SETS[2])[needed].to_json(orient="records")
    # In a process of its own, which the code of the model then has to itself.
    printed = run([sys.executable, "-c", PYFUNC, packaged, records], folder)
    answers = json.loads(printed.splitlines()[-1])
    if answers != want:
        found.append(f"pyfunc: {answers[0]}, not {want[0]}")
    with serving(packaged, folder) as address:
        answers = invoke(address, {"dataframe_records": json.loads(records)})
    if answers != want:
        found.append(f"server: {answers[0]}, not {want[0]}")
    kill_midway(old, folder)
    resumed = ["--artifact-dir", folder / "killed", "--solver.epochs", 5000, "--resume"]
    done = call(ROOT, folder, "train", *(ROOT / name for name in SETS), *resumed)
    click.echo(f"  resumed: {done.stderr.strip()}")
    if done.returncode != 2 or len(done.stderr.strip().splitlines()) != 1:
        found.append(f"resume: status {done.returncode}, {done.stderr}")
    return found


def main(commits: Sequence[str]) -> int:
    """Try each version; return how many faults there are."""
    count = 0
    for commit in commits or VERSIONS:
        with tempfile.TemporaryDirectory() as folder:
            click.echo(f"{commit}, {VERSIONS.get(commit, 'as asked for')}")
            for fault in faults(commit, Path(folder)):
                count += 1
                click.echo(f"  fault: {fault}")
    click.echo(f"{count} faults")
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
