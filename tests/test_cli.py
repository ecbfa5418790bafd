"""The command line: what it prints, its exit status, and that no traceback of ours shows."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner, Result
from small import small_config, small_frame
from stub_scorer import StubScorer
from trainings import record_of

from barrage_mlflow.cli import explain_error, main
from barrage_mlflow.cli.trainings import _before_page
from barrage_mlflow.commands.overrides import split_overrides
from barrage_mlflow.scoring.scorer import Scorer
from barrage_mlflow.tuning.search_file import SEARCH_SCHEMA


@pytest.fixture
def run(tmp_path: Path):
    def call(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def files(tmp_path: Path) -> None:
    """config.json, train.csv and validation.csv in the working folder."""
    Path("config.json").write_text(json.dumps(small_config(solver__epochs=1)), "utf-8")
    small_frame(60, seed=0).to_csv("train.csv", index=False)
    small_frame(20, seed=1).to_csv("validation.csv", index=False)


def test_train_then_predict(run, files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    trained = run(
        "train", "config.json", "train.csv", "validation.csv", "--artifact-dir", "out",
        "--experiment", "e", "--run-name", "r", "--register", "small", "--solver.epochs", "2",
        "--threads", "1",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    (found,) = mlflow.search_runs(experiment_names=["e"], output_format="list")
    assert (found.info.run_name, found.info.status) == ("r", "FINISHED")
    assert found.data.params["solver.epochs"] == "2"
    assert found.data.tags["barrage.threads"] == "1"
    out = trained.stdout.splitlines()
    assert out[0].startswith("best epoch ")
    place = f"experiments/{found.info.experiment_id}/runs/{found.info.run_id}"
    page = f"http://127.0.0.1:5000/#/{place}?workflowType=machine_learning"
    assert out[1:4] == [
        "artifacts: out",
        f"run:       {found.info.run_id}",
        f"page:      mlflow ui, then {page}",
    ]
    assert out[4].startswith("model:     models:/m-")
    assert out[5:] == [
        "version:   models:/small/1",
        "next:      mlflow models serve -m models:/small/1 --env-manager local --port 5001",
    ]
    assert "\nepoch 1/2  loss " in trained.stderr

    printed = run("predict", "validation.csv", "out")
    assert printed.exit_code == 0, printed.output
    expected = [json.loads(line) for line in printed.stdout.splitlines()]
    assert len(expected) == 20
    assert all(sum(score["label"]) == pytest.approx(1) for score in expected)

    for model in ("out", "models:/small/1", out[4].split()[1]):
        written = run("predict", "validation.csv", model, "-o", "scores.json")
        assert written.exit_code == 0, written.output
        scored, following = written.stdout.splitlines()
        assert re.fullmatch(r"20 scores in scores\.json, \d+\.\d s", scored)
        assert following == f"next:      barrage-mlflow evaluate TEST {model}"
        assert json.loads(Path("scores.json").read_text("utf-8")) == expected
    options = ["--keep", "a", "--keep", "label", "--batch-size", "7"]
    refused = run("predict", "validation.csv", "out", "-o", "kept.csv", *options)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(
        "error: validation.csv: the column 'label' cannot be kept, since an output of the model"
    )
    assert not Path("kept.csv").exists()
    kept = run("predict", "validation.csv", "out", "--keep", "b", "--keep", "a")
    assert kept.exit_code == 0, kept.output
    rows = [json.loads(line) for line in kept.stdout.splitlines()]
    assert [list(row) for row in rows] == [["b", "a", "label"]] * 20
    assert [row["label"] for row in rows] == [score["label"] for score in expected]
    lines = Path("validation.csv").read_text("utf-8").splitlines()[1:]
    assert [f"{row['a']},{row['b']}" for row in rows] == [line.rpartition(",")[0] for line in lines]


@pytest.mark.parametrize(
    ("uri", "before"),
    [
        ("", "mlflow ui, then "),
        ("sqlite:///mlflow.db", "mlflow ui, then "),
        ("sqlite:///{here}/mlflow.db", "mlflow ui, then "),
        ("sqlite:////there.db", 'mlflow ui --backend-store-uri "$MLFLOW_TRACKING_URI", then '),
        ("https://mlflow.example", ""),
    ],
)
def test_the_page_of_a_run_is_told_with_what_shows_it(monkeypatch, uri, before) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(here=Path.cwd()))
    assert _before_page() == before


def test_a_scoring_that_is_interrupted_says_how_to_go_on(
    run, files, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(StubScorer):
        def score(self, records, *options):
            if self.scored == 20:
                signal.raise_signal(signal.SIGINT)
            return super().score(records, *options)

    Path("out/model/data").mkdir(parents=True)
    monkeypatch.setattr(Scorer, "load", lambda folder: Interrupted(Path(folder) / "model"))
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.default_int_handler)
    command = ("predict", "train.csv", "out", "-o", "scores.csv", "--batch-size", "4")
    stopped = run(*command)
    assert stopped.exit_code == 130
    assert stopped.stderr.splitlines() == [
        "interrupted",
        "24 records are scored and kept in scores.csv.unfinished; the same command goes on after "
        "them, unless records or model change",
    ]
    monkeypatch.setattr(Scorer, "load", lambda folder: StubScorer(Path(folder) / "model"))
    resumed = run(*command)
    assert resumed.stdout.startswith("60 scores in scores.csv, ")
    assert resumed.stderr == "24 records were scored before: going on after them\n"


def test_register_and_promote_by_alias(run, files) -> None:
    command = ["train", "config.json", "train.csv", "validation.csv", "--register", "small"]
    for version, epochs in ((1, 1), (2, 6)):
        trained = run(*command, "--alias", f"try{version}", "--solver.epochs", epochs)
        assert trained.exit_code == 0, trained.output
        assert trained.stdout.splitlines()[5] == f"version:   models:/small/{version}"
    for version, status in ((1, 0), (2, 0), (1, 1)):
        done = run("promote", f"models:/small/{version}", "validation.csv", "--alias", "champion")
        assert done.exit_code == status, done.output
    assert done.stdout.splitlines()[-1].startswith("not moved: @champion stays with version 2")
    aliases = mlflow.MlflowClient().get_registered_model("small").aliases
    assert {name: int(version) for name, version in aliases.items()} == {
        "try1": 1,
        "try2": 2,
        "champion": 2,
    }


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_standard_stream_may_be_closed(files, closed: str) -> None:
    Path("parts.py").write_text("def same(data_record): return data_record", "utf-8")
    config = small_config(solver__epochs=1)
    config["dataset"] |= {"workers": 1, "augmentor": [{"import": "parts.same"}]}  # by the record
    Path("config.json").write_text(json.dumps(config), "utf-8")
    command = f"{sys.executable} -m barrage_mlflow train config.json train.csv validation.csv"
    command += f" --artifact-dir out --offline {closed}"
    done = subprocess.run(command, shell=True, check=False)
    assert (done.returncode, record_of(Path("out")).status) == (0, "FINISHED")


def test_no_file_takes_the_place_of_a_closed_stream(files) -> None:
    code = "import os; from barrage_mlflow.cli import main; main(['schema'], standalone_mode=False)"
    code += "; null = os.stat(os.devnull); assert all(os.path.samestat(null, os.fstat(n)) for n in "
    for closed, numbers in (("<&- >&- 2>&-", "(0, 1, 2)"), ("2>&-", "(2,)")):
        done = subprocess.run(f'{sys.executable} -c "{code}{numbers})" {closed}', shell=True)
        assert done.returncode == 0


def test_files_of_the_working_folder_do_not_go_before_the_standard_library(files) -> None:
    for name in ("typing", "dataclasses", "json", "logging"):
        Path(f"{name}.py").write_text("raise SystemExit(f'{__name__} of the project')", "utf-8")
    command = [sys.executable, "-m", "barrage_mlflow", "check", "config.json", "train.csv"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout.endswith("\nconfig.json: all is well\n"), done.stderr


def test_ten_faults_print_ten_lines_and_train_nothing(run, files, monkeypatch) -> None:
    golden = Path(__file__).parent / "config" / "golden"
    monkeypatch.syspath_prepend(golden)
    shutil.copy(golden / "ten_faults" / "config.json", ".")
    trained = run("train", "config.json", "train.csv", "validation.csv")
    assert trained.exit_code == 2
    assert trained.stderr == (golden / "ten_faults" / "faults.txt").read_text("utf-8")
    assert mlflow.search_runs(search_all_experiments=True, output_format="list") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "config.json", "missing.csv", "validation.csv"], "error: missing.csv: no such"),
        (["train", "missing.json", "train.csv", "validation.csv"], "missing.json: no such file"),
        (["train", "config.json", "train.csv", "validation.csv", "--resume"], "--artifact-dir"),
        (["check", "config.json", "trian.csv"], "error: trian.csv: no such file"),
        (["predict", "missing.csv", "out"], "error: missing.csv: no such file"),
        (["predict", "train.csv", "out", "--batch-size", "0"], "0 is not in the range x>=1"),
        (["predict", "train.csv", "nowhere"], "error: nowhere: MLflow finds no model there"),
        (["predict", "train.csv", "models:/none/1"], "error: models:/none/1: MLflow finds no"),
        (["predict", "train.csv", "out", "-o", "scores.txt"], ".json, .jsonl, .csv, .parquet"),
        (["predict", "train.csv", "out", "-o", "no/where.csv"], "no folder no"),
        (
            ["train", "config.json", "train.csv", "validation.csv", "extra"],
            "unexpected extra argument",
        ),
        (["check", "config.json", "--solver.epochs"], "--solver.epochs has no value"),
        (
            ["check", "config.json", "--epochs", "3"],
            "no option --epochs; config values are set with --section.key VALUE",
        ),
        (
            ["promote", "artifacts/small", "train.csv", "--alias", "champion"],
            "error: artifacts/small: expected a version of a registered model",
        ),
    ],
)
def test_bad_input_exits_2_with_one_message(run, files, arguments, message) -> None:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_explain_error_shows_project_frames(tmp_path: Path) -> None:
    code = compile("def load():\n    return {}['a']\n", str(tmp_path / "loader.py"), "exec")
    names: dict[str, object] = {}
    exec(code, names)
    with pytest.raises(KeyError, match="a") as error:
        names["load"]()  # type: ignore[operator]
    error.value.add_note("in train, record 3")
    assert explain_error(error.value).splitlines() == [
        "error: KeyError: 'a'",
        "in train, record 3",
        f"  at {__file__}:{error.tb.tb_lineno} in test_explain_error_shows_project_frames",
        f"  at {tmp_path / 'loader.py'}:2 in load",
        "  (set BARRAGE_TRACEBACK=1 to see the whole traceback)",
    ]


def test_code_beside_a_python_that_is_the_systems_own_is_the_projects(monkeypatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    names: dict[str, object] = {}
    for name in ("/usr/src/app/shop.py", "/usr/lib/python3/dist-packages/other.py"):
        exec(compile("def load(call):\n    call()", name, "exec"), names)
        names[name] = names["load"]
    call = partial(names["/usr/lib/python3/dist-packages/other.py"], None)
    with pytest.raises(TypeError, match="not callable") as error:
        names["/usr/src/app/shop.py"](call)
    assert [line for line in explain_error(error.value).splitlines() if "/usr" in line] == [
        "  at /usr/src/app/shop.py:2 in load"
    ]


@pytest.mark.parametrize("offline", [[], ["--offline"]])
def test_a_user_without_a_home_folder_is_told_what_to_set(files, monkeypatch, offline) -> None:
    monkeypatch.delenv("HOME")
    # A user whom the system does not know, as in a container; only root could become one.
    code = "import os; os.getuid = lambda: 54321; from barrage_mlflow.cli import main; main()"
    words = [code, "train", "config.json", "train.csv", "validation.csv", *offline]
    done = subprocess.run([sys.executable, "-c", *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (
        *(2, ""),
        "error: no home folder is known, and MLflow needs one: set HOME to a folder\n",
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--solver.epochs", "3"], {"solver.epochs": "3"}),
        (["--a.b=c=d", "--e.f", "--g"], {"a.b": "c=d", "e.f": "--g"}),
        (["--a.b", "-1"], {"a.b": "-1"}),
    ],
)
def test_overrides_are_taken_out(arguments, expected) -> None:
    assert split_overrides(arguments) == (expected, [])
    assert split_overrides(["a.csv", *arguments, "-x", "--y"]) == (
        expected,
        ["a.csv", "-x", "--y"],
    )


def test_overrides_may_stand_before_the_files(run, files) -> None:
    checked = run("check", "--solver.epochs", "0", "config.json", "--solver.batch_size=0")
    assert checked.exit_code == 1
    assert checked.stdout.splitlines() == [
        "--solver.batch_size  $.solver.batch_size: expected an integer ≥ 1, got 0",
        "--solver.epochs  $.solver.epochs: expected an integer ≥ 1, got 0",
    ]


REPORT = """\
train       all 60 records of train.csv
validation  all 20 records of validation.csv
"""


def test_check_with_data_goes_on_to_a_dry_run(run, files) -> None:
    before = sorted(Path().rglob("*"))
    checked = run("check", "config.json", "train.csv", "validation.csv")
    assert checked.exit_code == 0, checked.output
    assert checked.stdout.startswith(REPORT)
    shown = checked.stdout.splitlines()
    assert shown[3:6] == ["columns", "  a      number  numbers", "  b      number  numbers"]
    assert shown[8].split() == ["loader", "transformer", "network"]
    assert checked.stdout.endswith("\nconfig.json: all is well\n")
    assert sorted(Path().rglob("*")) == before  # nothing is left, and nothing was tracked
    head = run("check", "config.json", "train.csv", "--records", "7")
    assert head.stdout.splitlines()[:2] == [
        "train       a sample, 7 records of train.csv",
        "validation  none given: the train records take their place",
    ]


def test_what_a_dry_run_finds_in_the_config_has_its_place_there(run, files) -> None:
    config = small_config()
    config["model"]["network"]["params"]["layers"][1]["params"]["units"] = -3
    Path("config.json").write_text(json.dumps(config, indent=1), "utf-8")
    place = next(
        number
        for number, line in enumerate(Path("config.json").read_text("utf-8").splitlines())
        if '"Dense"' in line
    )
    stopped = run("check", "config.json", "train.csv")
    assert stopped.exit_code == 1
    assert stopped.stdout.endswith("\n\nstopped at the network\n")
    assert stopped.stderr.splitlines() == [
        f"error: config.json:{place}:6  $.model.network.params.layers[1]: keras.layers.Dense "
        "turned its params down: Received an invalid value for `units`, expected a positive "
        "integer. Received: units=-3",
        "in $.model.network, import 'barrage_mlflow.model.sequential_from_config'",
    ]


@pytest.mark.parametrize("command", ["check", "train"])
def test_every_column_that_is_missing_has_its_place_at_once(run, files, command: str) -> None:
    features = "{features: {aa: number, b: number}, targets: {lable: category}}"
    loader = f"loader: {{import: FeatureLoader, params: {features}}}"
    Path("config.yaml").write_text(
        f"dataset: {{transformer: {{import: FeatureTransformer}}, {loader}}}\n"
        "model:\n"
        "  network: {import: barrage_mlflow.model.feature_network}\n"
        "  outputs: [{name: lable, loss: {import: sparse_categorical_crossentropy}}]\n"
        "solver: {optimizer: {import: Adam, learning_rate: 0.1}, batch_size: 4, epochs: 1}\n"
    )
    stopped = run(command, "config.yaml", "train.csv", "validation.csv")
    shown = [line.replace("60 records of ", "") for line in stopped.stderr.splitlines()[-2:]]
    params, columns = "$.dataset.loader.params", "The columns are 'a', 'b', 'label'"
    assert shown == [
        f"config.yaml:1:110  {params}.features.aa: train.csv: no column 'aa'; did you mean 'a'? "
        f"{columns}",
        f"config.yaml:1:147  {params}.targets.lable: train.csv: no column 'lable'; did you mean "
        f"'label'? {columns}",
    ]


def test_schema_prints_a_schema(run, files) -> None:
    plain = json.loads(run("schema").stdout)
    assert plain["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Path("parts.py").write_text(
        "from barrage_mlflow.dataset import RecordLoader\n"
        "class OwnLoader(RecordLoader):\n"
        "    def load(self, record): ...\n",
        "utf-8",
    )
    own = run("schema", "--project", "parts")
    assert own.exit_code == 0, own.output
    assert "parts.OwnLoader" in own.stdout
    assert json.loads(run("schema", "--search").stdout) == SEARCH_SCHEMA
    missing = run("schema", "--project", "prats")
    assert missing.exit_code == 2
    assert "prats" in missing.stderr


def test_diff_of_two_configs(run, files) -> None:
    other = small_config(solver__epochs=2, dataset__seed=7)
    Path("other.json").write_text(json.dumps(other), "utf-8")
    differs = run("diff", "config.json", "other.json")
    assert differs.exit_code == 1
    assert "$.solver.epochs: 1 → 2" in differs.stdout.splitlines()
    same = run("diff", "config.json", "config.json")
    assert (same.exit_code, same.output) == (0, "")
    missing = run("diff", "config.json", "no_such.json")
    assert missing.exit_code == 2
    assert missing.stderr.startswith("no_such.json: no such file")
