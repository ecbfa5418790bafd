"""The commands that the pages show: ``bash`` blocks are run as they stand, ``sh`` otherwise."""

from __future__ import annotations

import base64
import json
import os
import re
import runpy
import shlex
import shutil
import textwrap
import urllib.request
from pathlib import Path

import pandas as pd
import pytest
import yaml
from loopback import isolated
from outside import (
    ROOT,
    ROUNDING,
    assert_scores_agree,
    free_port,
    invoke,
    parse_command,
    run,
    started,
)
from pages import assert_shown, blocks, commands, run_blocks, served_page

import barrage_mlflow
from barrage_mlflow import errors
from barrage_mlflow.workspace import layout

PAGES = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
PAGES["README.md"] = (ROOT / "README.md").read_text("utf-8")
OF_EXAMPLES = [path.read_text("utf-8") for path in sorted(ROOT.glob("examples/*/README.md"))]
SHOWN = [
    command
    for text in (*PAGES.values(), *OF_EXAMPLES)
    for command in commands(text)
    if shlex.split(command, comments=True)[0] in ("barrage-mlflow", "mlflow")
]
TUTORIALS = {
    "tutorial.md": Path(),
    "tutorial-images.md": Path("digits"),
    "tutorial-texts.md": Path("reviews"),
    "tutorial-series.md": Path("houses"),
}
"""Where each has its files."""
ELSEWHERE = ("README.md", "mlflow-run.md", "registry.md", *TUTORIALS)
RUN = [name for name, text in PAGES.items() if blocks(text, "bash") and name not in ELSEWHERE]
"""Pages that no other test runs; the checkout below has what registry.md makes."""
SERVED = "test_a_tutorial_ends_with_a_server_that_answers_as_predict"
MOVED = "test_the_packages_are_carried_to_a_machine_without_an_index"
FOLLOWED = "test_the_commands_of_the_page_make_link_and_follow"
ANSWERED = "test_a_registered_model_answers_as_predict"
OTHERWISE = {
    "README.md": ["test_the_commands_of_the_readme_take_a_table_to_its_scores"],
    "benchmarks.md": ["test_a_case_works_from_end_to_end"],
    "index.md": ["test_ci_runs_the_two_commands_that_the_readme_begins_with"],
    "machines.md": ["not run: it takes a GPU", MOVED, MOVED],
    "pretrained.md": ["checkout"],  # with random weights
    "scaling.md": ["test_two_machines_train_together"],
    "serving.md": [ANSWERED, ANSWERED, "not run: it takes Docker"],
    "template.md": [FOLLOWED] * 4,
    "tuning.md": ["test_a_second_machine_joins_a_search"],
    "tutorial.md": ["test_mlflow_ui_has_the_run_that_was_trained_here", SERVED, SERVED],
    "tutorial-images.md": [SERVED, SERVED],
    "tutorial-series.md": [SERVED, SERVED],
    "tutorial-texts.md": [SERVED, SERVED],
}
"""What runs the ``sh`` blocks of each page, in their order."""
CLUSTER = {
    "barrage-mlflow": 'echo "$TF_CONFIG"',
    "scontrol": '[ "$*" = "show hostnames n[1-2]" ] && printf "n1\\nn2\\n"',
    "srun": 'for task in 0 1 2 3; do SLURM_PROCID=$task "${@:3}"; done',
}
"""What stands for a cluster's commands."""


@pytest.mark.parametrize("tool", ["cli_page", "reference_page"])
def test_a_generated_page_is_current(tool: str) -> None:
    made = runpy.run_path(str(ROOT / "tools" / f"{tool}.py"))
    assert made["PAGE"].read_text("utf-8") == made["render"](), f"run: python -m tools.{tool}"


def test_the_artifact_folder_is_described_as_it_is() -> None:
    tree = (layout.__doc__ or "").partition("::\n\n")[2]
    assert blocks(PAGES["files.md"], "")[0] == textwrap.dedent(tree)


def test_the_python_page_has_every_public_name() -> None:
    shown = re.findall(r"^::: [\w.]+\.(\w+)$", PAGES["python.md"], re.M)
    besides = {"feature_network", "sequential_from_config", "train_on_ray"}
    of_errors = {name for name in barrage_mlflow.__all__ if hasattr(errors, name)}
    assert sorted(shown) == sorted({*barrage_mlflow.__all__, *besides} - of_errors)


def test_the_pages_show_commands():
    assert len(SHOWN) > 20
    assert len(RUN) > 2


@pytest.mark.parametrize("command", SHOWN)
def test_a_command_and_its_options_exist(command: str):
    Path("artifacts", "run1").mkdir(parents=True)
    parse_command(*shlex.split(command.replace("RUN_ID", "0" * 32), comments=True))


def test_it_is_known_what_runs_each_command() -> None:
    shown = {name: len(blocks(text, "sh")) for name, text in PAGES.items()}
    assert {name: count for name, count in shown.items() if count} == {
        name: len(by) for name, by in OTHERWISE.items()
    }
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = {name for by in OTHERWISE.values() for name in by if not name.startswith("not run: ")}
    assert named <= set(re.findall(r"^def (\w+)\(", tests, re.M))
    (set_up,) = blocks(PAGES["index.md"], "sh")
    assert " && ".join(set_up.splitlines()) in PAGES["README.md"]


def test_a_schema_is_made_where_the_package_is() -> None:
    (command,) = re.findall(r"^(cd .* schema .*?) >", PAGES["checking.md"], re.M)
    assert "penguins.PenguinLoader" in run(command, ROOT)


def test_the_pages_say_what_their_readers_cannot_guess() -> None:
    assert "\ncookiecutter gh:org/barrage-template\n" in PAGES["README.md"]
    assert "\nwhere `org` is the GitHub account that has this template, " in PAGES["README.md"]
    forbids = "`MLFLOW_ALLOW_MODEL_CODE_EXECUTION=false`, which MLflow knows from 3.18 on, forbids"
    assert f"\n{forbids} every pyfunc, and so these models: leave it unset" in PAGES["serving.md"]
    lacking = 'rather than `record.get("w", 1.0)`. `"w" in record` is true in every record'
    assert lacking in PAGES["columns.md"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the penguins' files at its top, and what else the pages take as given."""
    folder = tmp_path_factory.mktemp("clone") / "a checkout"
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(folder / "examples" / "penguins", folder, dirs_exist_ok=True)
    for name in ("MLproject", "conda.yaml"):
        shutil.copy(ROOT / name, folder)
    train, validation = (pd.read_csv(folder / f"{name}.csv") for name in ("train", "validation"))
    pd.concat([train, validation]).to_csv(folder / "penguins.csv", index=False)
    validation.to_csv(folder / "test.csv", index=False)
    validation.reset_index(names="id").to_parquet(folder / "records.parquet")
    customers = train.assign(churn=train["flipper_length_mm"] > 200)
    customers.to_csv(folder / "customers.csv", index=False)
    search = json.loads(blocks(PAGES["tuning.md"], "json")[0]) | {"trials": 2}
    (folder / "search.json").write_text(json.dumps(search), "utf-8")
    (fetch,) = [line for line in commands(PAGES["pretrained.md"]) if "imagenet" in line]
    run(fetch.replace("'imagenet'", "None"), folder)  # nothing is downloaded
    run_blocks(PAGES["registry.md"], folder)
    ours = "barrage-mlflow"
    files = "train.csv validation.csv --artifact-dir artifacts/run1"
    run(f"{ours} train config.json {files} --test test.csv", folder)
    run(f"{ours} init customers.csv --target churn -o churn.yaml", folder)
    files = "customers.csv customers.csv --artifact-dir artifacts/churn"
    run(f"{ours} train churn.yaml {files} --solver.epochs 3", folder)
    return folder


@pytest.mark.nightly(part="docs")
@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_run(page: str, checkout: Path):
    run_blocks(PAGES[page].replace("RUN_ID", _run_id(checkout)), checkout)


def _run_id(checkout: Path) -> str:
    text = (checkout / "artifacts" / "run1" / "run.json").read_text("utf-8")
    return str(json.loads(text)["run_id"])


@pytest.mark.nightly(part="docs")
def test_the_commands_of_the_readme_take_a_table_to_its_scores(
    checkout: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(checkout / "penguins.csv").rename(columns={"body_mass_g": "price"})
    table.to_csv(tmp_path / "table.csv", index=False)
    (block,) = blocks(PAGES["README.md"], "sh")
    run(["bash", "-ec", block], tmp_path)
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert scores["price"].between(2000, 7000).all()
    assert len(scores) == len(pd.read_csv(tmp_path / "test.csv"))


@pytest.mark.nightly(part="docs")
def test_a_registered_model_answers_as_predict(checkout: Path) -> None:
    asked = [json.loads(body) for body in re.findall(r"-d '(.*)'", PAGES["serving.md"])]
    (record,), table = asked[0]["dataframe_records"], asked[1]["dataframe_split"]
    records = [record, *(dict(zip(table["columns"], row, strict=True)) for row in table["data"])]
    pd.DataFrame(records).to_json(checkout / "asked.jsonl", orient="records", lines=True)
    model = "models:/penguins@champion"
    run(f"barrage-mlflow predict asked.jsonl {model} -o answers.jsonl", checkout)
    lines = (checkout / "answers.jsonl").read_text("utf-8").splitlines()
    with served_page(PAGES["serving.md"], checkout) as (_, answers):
        assert_scores_agree(answers, [json.loads(line) for line in lines], ROUNDING)


@pytest.mark.nightly(part="docs")
def test_mlflow_ui_has_the_run_that_was_trained_here(checkout: Path) -> None:
    (command,) = [block for block in blocks(PAGES["tutorial.md"], "sh") if "mlflow ui" in block]
    port, run_id = free_port(), _run_id(checkout)
    page = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/runs/get?run_id={run_id}"
    with (
        started([*shlex.split(command), "--port", str(port)], checkout, page),
        urllib.request.urlopen(page) as answer,
    ):
        assert json.load(answer)["run"]["info"]["status"] == "FINISHED"


@pytest.mark.nightly(part="docs")
def test_two_machines_train_together(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "penguins", tmp_path, dirs_exist_ok=True)
    for name in ("train", "validation"):
        pd.read_csv(tmp_path / f"{name}.csv").to_parquet(tmp_path / f"{name}.parquet")
    (first,) = blocks(PAGES["scaling.md"], "sh")
    # On one machine each has a port of its own.
    first = re.sub(r"10\.0\.0\.(\d):7001", r"127.0.0.1:700\1", first)
    second = first.replace('"index": 0', '"index": 1')
    assert second != first
    run(isolated(["bash", "-ec", f"({second}) & {first} wait $!"]), tmp_path)
    record = json.loads((tmp_path / "artifacts" / "run1" / "run.json").read_text("utf-8"))
    assert (record["status"], record["tags"]["barrage.processes"]) == ("FINISHED", "2")


@pytest.mark.nightly(part="docs")
def test_a_second_machine_joins_a_search(checkout: Path) -> None:
    (line,) = blocks(PAGES["tuning.md"], "sh")
    line, count = re.subn(r"postgresql\S+", "sqlite:///shared.db", line)
    assert count == 1
    for machine in ("one", "two"):
        run(line.replace("$HOSTNAME", machine), checkout)
    best = [(checkout / f"search-{name}" / "best_config.json") for name in ("one", "two")]
    assert best[0].read_text("utf-8") == best[1].read_text("utf-8")


def _follow(page: str, folder: Path) -> None:
    shutil.copytree(ROOT / "examples", folder / "examples")
    run_blocks(page, folder)


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_begins_as_it_shows(name: str, tmp_path: Path) -> None:
    _follow(PAGES[name].partition("## 3.")[0], tmp_path)


@pytest.mark.nightly(part="docs")
@pytest.mark.parametrize(("name", "home"), TUTORIALS.items())
def test_a_tutorial_ends_with_a_server_that_answers_as_predict(
    name: str, home: Path, tmp_path: Path
) -> None:
    _follow(PAGES[name], tmp_path)
    lines = (tmp_path / home / "scores.jsonl").read_text("utf-8").splitlines()
    records = pd.read_csv(tmp_path / home / "test.csv")
    if "path" in records:
        files = [ROOT / "examples/digits/images" / path for path in records["path"]]
        records["path"] = [base64.b64encode(file.read_bytes()).decode() for file in files]
    request = {"dataframe_records": json.loads(records.to_json(orient="records"))}
    with served_page(PAGES[name], tmp_path) as (address, answer):
        assert_shown(*blocks(PAGES[name], "json"), json.dumps({"predictions": answer}))
        assert invoke(address, request) == [json.loads(line) for line in lines]


@pytest.mark.nightly(part="docs")
def test_the_steps_of_a_workflow_run(checkout: Path) -> None:
    (workflow,) = blocks(PAGES["ci.md"], "yaml")
    steps = yaml.safe_load(workflow)["jobs"]["test"]["steps"]
    _, *lines = [step["run"] for step in steps if "run" in step]
    assert len(lines) == 4
    for line in lines:
        run(line, checkout)


def _started_by(script: str, folder: Path, **variables: str) -> list[tuple[list[str], int]]:
    """What ``TF_CONFIG`` a cluster's script gives to its processes: addresses, and the index."""
    for name, stub in CLUSTER.items():
        (folder / name).write_text(f"#!/bin/bash\n{stub}\n", "utf-8")
        (folder / name).chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    lines = run(["bash", "-euc", script], folder, PATH=path, **variables).splitlines()
    given = [json.loads(line) for line in lines]
    return [(each["cluster"]["worker"], each["task"]["index"]) for each in given]


def test_a_job_of_kubernetes_names_its_pods_to_each_other(tmp_path: Path) -> None:
    service, job = yaml.safe_load_all(*blocks(PAGES["scaling.md"], "yaml"))
    name, job_spec = job["metadata"]["name"], job["spec"]
    pod, count = job_spec["template"]["spec"], job_spec["completions"]
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert (job_spec["completionMode"], job_spec["parallelism"]) == ("Indexed", count)
    (container,) = pod["containers"]
    assert container["env"][0] == {"name": "COUNT", "value": str(count)}
    (script,) = container["args"]
    pods = [f"{name}-{index}.{pod['subdomain']}:7001" for index in range(count)]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert _started_by(script, tmp_path, COUNT="4", JOB_COMPLETION_INDEX="3") == [(pods, 3)]


def test_a_job_of_slurm_names_its_tasks_to_each_other(tmp_path: Path) -> None:
    (script,) = blocks(PAGES["scaling.md"], "shell")
    given = {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_NTASKS_PER_NODE": "2"}
    tasks = ["n1:7001", "n1:7002", "n2:7001", "n2:7002"]
    assert _started_by(script, tmp_path, **given) == [(tasks, index) for index in range(4)]
