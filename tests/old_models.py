"""Models and runs of earlier versions under this one: they score alike, and no run goes on.

    python tests/old_models.py            every version that is named below
    python tests/old_models.py e18dc6c    one of them, by its commit

Each is taken from the history with its examples penguins and iris, and with the four kinds of its
template, as it renders them itself: both versions have all six, each with its data. It trains them
in this environment and scores their validation records. Then the same records are scored under this
version with the models that were packaged, and must get the same bytes.

A model brings along the engine that made it, and that is what scores: for ``predict``, and for
``mlflow.pyfunc`` where this version is loaded already, in a process of its own that this version
calls; for ``mlflow.pyfunc`` alone and ``mlflow models serve`` without any part of this version.

This version trains from the same files, too, which were written for the old one, and must come to
the same metrics in every epoch. And it is asked to resume a training of penguins that was killed.
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from outside import ROOT, environment, invoke, run, serving, wait_for

VERSIONS = {
    "e18dc6c": "before columns were typed once, and before the rooms",
    "078eba5": "before columns were typed once",
}
EXAMPLES = ("penguins", "iris")
KINDS = ("tabular", "image", "text", "timeseries")
EPOCHS = 5
TOLERANCE = 1e-4
"""How far a metric may be from the old one, relative to it."""
REFUSED = (
    "{}: not as this version of Barrage writes it; it can neither be resumed nor synced: name a "
    "new folder, or use the version that began it"
)
PYFUNC = """
import json, sys
import mlflow, pandas
frame = pandas.DataFrame(json.load(open(sys.argv[2])))
scores = mlflow.pyfunc.load_model(sys.argv[1]).predict(frame).to_dict("records")
print(json.dumps([sys.modules["barrage_mlflow"].__file__, scores]))
"""


@dataclass(frozen=True)
class Project:
    """What an old version trains: the folder of a config, and the sets by their paths in it."""

    name: str
    folder: Path
    train: str
    validation: str

    @property
    def sets(self) -> list[str]:
        return ["config.json", self.train, self.validation]


# The old versions and this one, each in processes of its own


def variables(home: Path, folder: Path) -> dict[str, str]:
    """Have a version found before what is installed, and all that MLflow keeps in a folder."""
    uri = f"sqlite:///{folder}/mlflow.db"
    kept = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_ARTIFACT_ROOT": str(folder)}
    return {"PYTHONPATH": str(home), **kept}


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "barrage_mlflow", *map(str, words)]


def call(home: Path, project: Project, folder: Path, *words: object) -> None:
    """Run a command of a version, which must succeed, where the project is."""
    run(command(*words), project.folder, **variables(home, folder))


def take(commit: str, home: Path) -> None:
    """Write the files of a commit to a folder."""
    git = ["git", "archive", commit]
    packed = subprocess.run(git, cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(home, filter="data")


def find_projects(old: Path, folder: Path) -> Iterator[Project]:
    """The examples of an old version, and what its template makes."""
    for name in EXAMPLES:
        yield Project(name, old / "examples" / name, "train.csv", "validation.csv")
    settings = folder / "settings.yaml"
    kept = {"cookiecutters_dir": str(folder / "clones"), "replay_dir": str(folder / "replay")}
    settings.write_text(json.dumps(kept))
    for kind in KINDS:
        home, answers = folder / kind, (f"kind={kind}", "engine=barrage-mlflow >= 0.1")
        cookiecutter = [sys.executable, "-m", "cookiecutter", old, "--no-input", "-o", home]
        run([*cookiecutter, *answers], folder, COOKIECUTTER_CONFIG=str(settings))
        project = home / "my_project"
        train, validation = (
            str(next(project.glob(f"data/{part}.*")).relative_to(project))
            for part in ("train", "validation")
        )
        yield Project(kind, project, train, validation)


# What is to be the same


def text_of(scores: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(score) for score in scores]


def read_records(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The records of a file as a client sends them, with the columns that a model needs."""
    import pandas as pd

    if path.suffix == ".csv":
        rows = json.loads(pd.read_csv(path).to_json(orient="records", double_precision=15))
    else:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [{name: row[name] for name in columns} for row in rows]


def read_code(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.py")}


def find_other_scores(old: Path, project: Project, folder: Path, trained: Path) -> list[str]:
    """The ways of scoring by which a model of the old version gives other bytes under this one."""
    from mlflow.models import Model

    before, now = trained / "before.jsonl", trained / "now.jsonl"
    for home, path in ((old, before), (ROOT, now)):
        call(home, project, folder, "predict", project.validation, trained, "-o", path)
    want = text_of([json.loads(line) for line in before.read_text("utf-8").splitlines()])
    model, sent = trained / "model", trained / "sent.json"
    columns = Model.load(model).get_input_schema().input_names()
    records = read_records(project.folder / project.validation, columns)
    sent.write_text(json.dumps(records))
    found = [] if now.read_bytes() == before.read_bytes() else ["predict: other bytes"]
    engine = model / "code" / "barrage_mlflow"
    if read_code(engine) != read_code(old / "barrage_mlflow"):
        found.append("the model has not brought along the engine of the old version")
    answers = {}
    ways = {
        "pyfunc": (PYFUNC, engine),
        "pyfunc beside this version": (f"import barrage_mlflow{PYFUNC}", ROOT / "barrage_mlflow"),
    }
    for way, (code, home) in ways.items():
        printed = run([sys.executable, "-c", code, model, sent], folder, **variables(ROOT, folder))
        file, scores = json.loads(printed.splitlines()[-1])
        answers[way] = text_of(scores)
        if Path(file).resolve().parent != home.resolve():
            found.append(f"{way}: what ran is {file}")
    with serving(model, trained, **variables(ROOT, folder)) as address:
        answers["server"] = text_of(invoke(address, {"dataframe_records": records}))
    for way, got in answers.items():
        if len(got) != len(want):
            found.append(f"{way}: {len(got)} scores, not {len(want)}")
        other = [pair for pair in zip(got, want, strict=False) if pair[0] != pair[1]]
        if other:
            found.append(f"{way}: {len(other)} others, the first {other[0][0]}, not {other[0][1]}")
    click.echo(f"  {project.name}: {len(want)} records, scored by predict, {', '.join(answers)}")
    return found


def read_history(trained: Path) -> list[dict[str, float]]:
    lines = (trained / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["metrics"] for line in lines]


def find_other_metrics(old: Path, now: Path) -> list[str]:
    """How the metrics of two trainings differ; both are shown as of their best epochs."""
    histories = {"was": read_history(old), "now": read_history(now)}
    for when, history in histories.items():
        best = min(history, key=lambda metrics: metrics["val_loss"])
        shown = "  ".join(f"{name} {value:.9g}" for name, value in sorted(best.items()))
        click.echo(f"    {when:3} epoch {history.index(best) + 1}: {shown}")
    was, new = histories.values()
    if [set(metrics) for metrics in was] != [set(metrics) for metrics in new]:
        return ["other metrics, or another number of epochs"]
    furthest, name = max(
        (abs(value - others[name]) / (abs(value) or 1), name)
        for metrics, others in zip(was, new, strict=True)
        for name, value in metrics.items()
    )
    apart = f"at most {furthest:.1e} apart, {name}" if furthest else "equal"
    click.echo(f"    metrics of {len(was)} epochs: {apart}")
    return [f"metrics: {apart}"] if furthest > TOLERANCE else []


def kill_midway(old: Path, project: Project, folder: Path, killed: Path) -> None:
    """Kill a training of the old version once it has a checkpoint to go on from."""
    process = subprocess.Popen(
        command("train", *project.sets, "--artifact-dir", killed, "--solver.epochs", 5000),
        cwd=project.folder,
        env=environment(**variables(old, folder)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: any(killed.glob("checkpoints/resume/*")) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def find_other_refusal(old: Path, project: Project, folder: Path) -> list[str]:
    """What this version does with a run of the old one, if not refuse it in one line."""
    killed = folder / "killed"
    kill_midway(old, project, folder, killed)
    resumed = ["--artifact-dir", killed, "--solver.epochs", 5000, "--resume"]
    done = subprocess.run(
        command("train", *project.sets, *resumed),
        cwd=project.folder,
        env=environment(**variables(ROOT, folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    click.echo(f"    resumed: {done.stderr.strip()}")
    want = (2, "", f"error: {REFUSED.format(killed / 'run.json')}\n")
    got = (done.returncode, done.stdout, done.stderr)
    return [] if got == want else [f"resume: {got}, not {want}"]


def find_faults(commit: str, folder: Path) -> Iterator[str]:
    """What differs under this version, for models and a run of an earlier one."""
    old = folder / "old"
    take(commit, old)
    for project in find_projects(old, folder):
        was, now = folder / f"{project.name}-was", folder / f"{project.name}-now"
        for home, trained in ((old, was), (ROOT, now)):
            options = ["--artifact-dir", trained, "--solver.epochs", EPOCHS]
            call(home, project, folder, "train", *project.sets, *options)
        found = find_other_scores(old, project, folder, was)
        found += find_other_metrics(was, now)
        if project.name == "penguins":
            found += find_other_refusal(old, project, folder)
        yield from (f"{project.name}, {fault}" for fault in found)


def main(commits: Sequence[str]) -> int:
    """Try each version; return how many faults there are."""
    count = 0
    for commit in commits or VERSIONS:
        with tempfile.TemporaryDirectory() as folder:
            click.echo(f"{commit}, {VERSIONS.get(commit, 'as asked for')}")
            for fault in find_faults(commit, Path(folder)):
                count += 1
                click.echo(f"    fault: {fault}")
    click.echo(f"{count} faults")
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 0)
