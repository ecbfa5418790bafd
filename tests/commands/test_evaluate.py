"""Evaluation of packaged models: at the end of a training, by the command, and in MLflow."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.metrics import accuracy_score, mean_absolute_error

import barrage_mlflow
from barrage_mlflow.cli import main
from barrage_mlflow.errors import RecordError
from barrage_mlflow.workspace.record import RunRecord, read_record

TARGETS = {"kind": "category", "price": "number"}
MINE = """
def count(outcome, kept, word="records"):
    return f"{len(outcome)} {word} of {outcome.name}"
"""


def frame(records: int, seed: int) -> pd.DataFrame:
    """``kind`` is told by ``leak``, ``price`` by ``a``; ``noise`` tells nothing."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["cat", "dog", "cow"], records)
    a = rng.normal(size=records)
    return pd.DataFrame(
        {
            "leak": kind,
            "a": a,
            "noise": rng.normal(size=records),
            "place": rng.choice(["north", "south"], records),
            "kind": kind,
            "price": 1000 + 100 * a,
        }
    )


TRAIN, VALIDATION, TEST = frame(400, 0), frame(100, 1), frame(80, 2)


def config(**evaluation: Any) -> dict[str, Any]:
    features = {"leak": "category", "a": "number", "noise": "number", "place": "category"}
    return {
        "dataset": {
            "loader": {
                "import": "FeatureLoader",
                "params": {"features": features, "targets": TARGETS},
            },
            "transformer": {"import": "FeatureTransformer"},
            "seed": 3,
        },
        "model": {
            "network": {
                "import": "barrage_mlflow.model.feature_network",
                "params": {"body": "mlp", "units": [32]},
            },
            "outputs": [
                {
                    "name": "kind",
                    "loss": {"import": "sparse_categorical_crossentropy"},
                    "loss_weight": 1,
                },
                {"name": "price", "loss": {"import": "mse"}, "loss_weight": 1},
            ],
        },
        "solver": {
            "optimizer": {"import": "Adam", "learning_rate": 0.02},
            "batch_size": 32,
            "epochs": 8,
        },
        "services": {"evaluation": {"seconds": 600, **evaluation}},
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training with its MLflow store: ``out``, and ``test.csv``."""
    from barrage_mlflow.training.appraisal import appraise

    home = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        patch.setattr("barrage_mlflow.training.train.appraise", appraise)
        patch.setattr("barrage_mlflow.training.appraisal._SECONDS", 600.0)
        Path("own.py").write_text(MINE, "utf-8")
        patch.syspath_prepend(str(home))
        reports = [{"import": "own.count", "params": {"word": "birds"}}]
        TEST.to_csv("test.csv", index=False)
        overlapping = pd.concat([VALIDATION, TRAIN[:5]])
        barrage_mlflow.train(
            config(reports=reports), TRAIN, overlapping, records_test="test.csv", artifact_dir="out"
        )
    return home


@pytest.fixture(autouse=True)
def _there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments)


def answers() -> pd.DataFrame:
    scores = barrage_mlflow.Scorer.load("out").score(TEST)
    return pd.DataFrame({name: scores[name].tolist() for name in ("kind", "price")})


def test_a_training_ends_with_a_report_on_each_set(home: Path) -> None:
    record = read_record(Path("out"))
    assert record is not None
    assert [*record.evaluation] == ["validation", "test"]
    told = answers()
    found = record.evaluation["test"]["metrics"]
    assert found["kind_accuracy"] == accuracy_score(TEST["kind"], told["kind"])
    assert found["price_mae"] == pytest.approx(mean_absolute_error(TEST["price"], told["price"]))
    report = Path("out/evaluation/test/report.md").read_text("utf-8")
    for line in (
        "# How good the model is on test",
        "80 records, scored in",
        "Trained on 400 records; the weights are those of epoch",
        "The network has",
        "## kind",
        "### Confusion",
        "### Count\n\n80 birds of price",
        "## Importance of columns",
        "## Data",
    ):
        assert line in report
    assert "equal to a train record" not in report
    assert "Left out" not in report
    made = {path.name for path in Path("out/evaluation/test/price").iterdir()}
    assert made == {
        *("metrics.json", "groups.json", "worst.json", "importance.json"),
        *("predicted.png", "importance.png"),
    }


def test_a_leaked_column_is_seen_in_the_importances() -> None:
    table = json.loads(Path("out/evaluation/validation/kind/importance.json").read_text("utf-8"))
    worse = dict(table["data"])
    assert next(iter(worse)) == "leak"
    assert worse["leak"] > 20 * max(abs(worse[name]) for name in ("a", "noise", "place"))


def test_records_of_both_sets_are_counted_in_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, evaluated_models: None
) -> None:
    said = (
        "20 of 100 validation records are equal to a train record: figures on them say nothing "
        "about new ones; make the sets anew, as with `barrage-mlflow split`"
    )
    overlapping = pd.concat([VALIDATION[:80], TRAIN[:20]])
    options: dict[str, Any] = {"artifact_dir": tmp_path / "out", "offline": True}
    barrage_mlflow.train(config(plots=False, importance=False), TRAIN, overlapping, **options)
    assert [r.message for r in caplog.records if r.levelno == logging.WARNING] == [said]
    report = (tmp_path / "out/evaluation/validation/report.md").read_text("utf-8")
    assert f"\n{said}\n" in report
    assert "5 of 105 validation records are equal" in Path(
        "out/evaluation/validation/report.md"
    ).read_text("utf-8")


def test_mlflow_has_metrics_with_model_and_dataset_and_tables(home: Path) -> None:
    record = read_record(Path("out"))
    assert record is not None
    client = mlflow.MlflowClient()
    found = client.get_run(record.run_id)
    for name, found_there in record.evaluation.items():
        for metric, value in found_there["metrics"].items():
            assert found.data.metrics[f"{name}_{metric}"] == value
    digests = {dataset.name: dataset.digest[:36] for dataset in record.datasets}
    model = client.get_logged_model(record.model_uri.rpartition("/")[2])
    on_test = {m.key: m for m in model.metrics if m.key.startswith("test_")}
    names = record.evaluation["test"]["metrics"].keys()
    assert {m.removeprefix("test_") for m in on_test} == names
    assert {(m.dataset_name, m.dataset_digest) for m in on_test.values()} == {
        ("test", digests["test"])
    }
    tables = json.loads(found.data.tags["mlflow.loggedArtifacts"])
    assert {"path": "evaluation/test/price/worst.json", "type": "table"} in tables
    worst = mlflow.load_table("evaluation/test/price/worst.json", run_ids=[record.run_id])
    assert worst["record"].tolist()[:1] == [
        int(np.argmax(np.abs(answers()["price"] - TEST["price"])))
    ]
    files = [file.path for file in client.list_artifacts(record.run_id, "evaluation/test/kind")]
    assert "evaluation/test/kind/confusion.png" in files


def test_the_command_shows_writes_and_logs(home: Path, tmp_path: Path) -> None:
    record = read_record(Path("out"))
    assert record is not None
    figures = record.evaluation["test"]["metrics"]
    done = run("evaluate", "test.csv", "out", "-o", str(tmp_path / "report"))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("80 records, scored in ")
    assert (lines[2], lines[3].split("  ")[-1]) == ("kind", "baseline")
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [
        *("metric", "log_loss", "f1", "accuracy", "roc_auc", "average_precision"),
        *("metric", "rmse", "mae", "r2", "bias", "p50", "p90", "p99"),
    ]
    assert (tmp_path / "report/report.md").read_text("utf-8").startswith("# How good out is on")
    (tmp_path / "report/secret.env").write_text("KEY=1", "utf-8")
    again = barrage_mlflow.evaluate(
        "test.csv", record.model_uri, tmp_path / "report", run_id=record.run_id, name="new"
    )
    sent = [
        file.path for file in mlflow.MlflowClient().list_artifacts(record.run_id, "evaluation/new")
    ]
    names = ("kind", "price", "report.html", "report.md")
    assert sorted(sent) == [f"evaluation/new/{name}" for name in names]
    assert again.metrics == pytest.approx(figures, 1e-5)
    logged = mlflow.MlflowClient().get_run(record.run_id)
    assert logged.data.metrics["new_price_mae"] == again.metrics["price_mae"]
    tables = json.loads(logged.data.tags["mlflow.loggedArtifacts"])
    names = {table["path"].split("/")[1] for table in tables}
    assert names == {"validation", "test", "new"}


def test_two_models_beside_each_other(home: Path, tmp_path: Path) -> None:
    worse = tmp_path / "worse"
    short = {"solver.epochs": 1}
    barrage_mlflow.train(
        config(), TRAIN, VALIDATION, artifact_dir=worse, offline=True, overrides=short
    )
    done = run("evaluate", "test.csv", "out", "--against", str(worse))
    assert done.exit_code == 0, done.output
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line[:2] == "  "}
    assert " ".join(rows["metric"][1:]) == f"out {worse} difference, 95 %"
    ours, theirs, low, _, high = (cell.replace("…", "0") for cell in rows["rmse"][1:])
    assert float(ours) < float(theirs)
    assert float(low) < float(high) < 0


def test_pieces_of_a_file_come_to_the_same(tmp_path: Path, monkeypatch: Any) -> None:
    whole = barrage_mlflow.evaluate(TEST, "out")
    monkeypatch.setattr("barrage_mlflow.scoring.scorer._PIECE", 16)
    pieces = barrage_mlflow.evaluate("test.csv", "out")
    assert pieces.metrics == pytest.approx(whole.metrics, 1e-5)
    assert {*whole.kept.groups} == {"leak", "place"}
    assert pieces.kept.groups.equals(whole.kept.groups)
    assert pieces.kept.sample == whole.kept.sample
    assert pieces.kept.worst == whole.kept.worst


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluated_models: None) -> Path:
    """A folder for a training, with a store of its own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path / "out"


def test_a_finished_training_takes_a_test_set_later(own_store: Path) -> None:
    def trained(test: Any = None) -> tuple[RunRecord, dict[str, float]]:
        quick = config(plots=False, importance=False)
        options: dict[str, Any] = {"records_test": test, "artifact_dir": own_store, "resume": True}
        barrage_mlflow.train(quick, TRAIN, VALIDATION, **options)
        record = read_record(own_store)
        assert record is not None
        assert record.published
        return record, mlflow.MlflowClient().get_run(record.run_id).data.metrics

    before, _ = trained()
    for test in (TEST, TEST[:40]):
        record, logged = trained(test)
        assert [*record.evaluation] == ["validation", "test"]
        assert record.evaluation["validation"] == before.evaluation["validation"]
        found = record.evaluation["test"]["metrics"]
        assert {name: logged[f"test_{name}"] for name in found} == found
        assert [(each.name, each.rows) for each in record.datasets] == [
            *(("train", 400), ("validation", 100), ("test", len(test))),
        ]
        assert trained(test)[0] == record  # which was evaluated on it

    # What was found is not of a set that the model cannot be evaluated on.
    record, _ = trained(TEST.assign(price="dear"))
    assert [*record.evaluation] == ["validation"]
    assert [*trained(TEST)[0].evaluation] == ["validation", "test"]


def test_a_training_that_is_stopped_while_it_is_evaluated_has_finished(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from barrage_mlflow.training import appraisal

    def stopped(*_: Any) -> Any:
        raise KeyboardInterrupt("while it is evaluated")

    arguments = (config(plots=False, importance=False), TRAIN, VALIDATION)
    with monkeypatch.context() as patch:
        patch.setattr(appraisal, "evaluate", stopped)
        with pytest.raises(KeyboardInterrupt, match="while it is evaluated"):
            barrage_mlflow.train(*arguments, artifact_dir=own_store)
    record = read_record(own_store)
    assert record is not None
    assert (record.is_finished, record.evaluation, record.published) == (True, {}, True)
    assert record.model_uri is not None
    barrage_mlflow.train(*arguments, artifact_dir=own_store, resume=True)
    record = read_record(own_store)
    assert record is not None
    assert (record.status, [*record.evaluation]) == ("FINISHED", ["validation"])
    assert mlflow.MlflowClient().get_run(record.run_id).info.status == "FINISHED"


def test_no_evaluation_and_one_that_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, evaluated_models: None
) -> None:
    options: dict[str, Any] = {"offline": True, "overrides": {"solver.epochs": 1}}
    none = {**config(), "services": {"evaluation": False}}
    barrage_mlflow.train(none, TRAIN, VALIDATION, artifact_dir=tmp_path / "none", **options)
    assert not (tmp_path / "none/evaluation").exists()
    with pytest.MonkeyPatch.context() as patch:  # a model that is not looked for
        patch.setattr("barrage_mlflow.training.train.Scorer.load", _full)
        barrage_mlflow.train(
            none, TRAIN, VALIDATION, artifact_dir=tmp_path / "none", resume=True, **options
        )
    arguments = (config(plots=False, importance=False), TRAIN, VALIDATION)
    full = tmp_path / "full"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("barrage_mlflow.evaluation.pages.Pages.write", _full)
        barrage_mlflow.train(*arguments, artifact_dir=full, **options)
    (warning,) = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert warning == (
        "the model could not be evaluated on validation: OSError: [Errno 28] No space left on "
        "device; mend it, and resume the training with --resume, or call barrage-mlflow evaluate"
    )
    assert _evaluation(full) == {}
    barrage_mlflow.train(*arguments, artifact_dir=full, resume=True, **options)
    assert "price_mae" in _evaluation(full)["validation"]["metrics"]
    assert (full / "evaluation/report.html").exists()


def _evaluation(folder: Path) -> Any:
    record = read_record(folder)
    assert record is not None
    return record.evaluation


def test_roots_count_for_records_in_memory_too() -> None:
    message = "^root 'place=/': expected a column of bytes; of these the model reads none$"
    with pytest.raises(RecordError, match=message):
        barrage_mlflow.evaluate(TEST, "out", roots=["place=/"])


def _full(_: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.csv", "out"], "error: missing.csv: no such file"),
        (["test.csv", "nowhere"], "error: nowhere: MLflow finds no model there"),
        (["empty.csv", "out"], "error: empty.csv holds no records; "),
        (["untold.csv", "out"], "no column 'price'; the columns are 'leak', 'a', "),
        (["test.csv", "out", "--run", "none"], "has no run 'none'"),
        (["test.csv", "out", "-o", "test.csv"], "error: test.csv: the folder cannot be made ("),
        (["missing.csv", "out", "--run", "RUN", "--name", "test"], "has figures that begin with"),
    ],
)
def test_bad_requests(home: Path, arguments: list[str], message: str) -> None:
    Path("empty.csv").write_text("leak,a,noise,place,kind,price\n", "utf-8")
    TEST.drop(columns="price").to_csv("untold.csv", index=False)
    record = read_record(Path("out"))
    assert record is not None
    done = run("evaluate", *(str(record.run_id) if each == "RUN" else each for each in arguments))
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
