"""A packaged model that would score otherwise elsewhere never ends as a finished run."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import mlflow
import numpy as np
import pandas as pd
import pytest
from runs import only_run
from small import TRAIN, VALIDATION, small_config

from barrage_mlflow import ComponentError, Scorer, train
from barrage_mlflow.commands.check import dry_run
from barrage_mlflow.config import read_config
from barrage_mlflow.errors import describe_error
from barrage_mlflow.scoring.process import ModelProcess
from barrage_mlflow.scoring.proof import first_difference, prove
from barrage_mlflow.workspace.record import read_record

PARTS = '''
import importlib
import os
import random
import tempfile
from datetime import date
from pathlib import Path

import keras

from barrage_mlflow import IdentityTransformer, RecordLoader

factor = 1.0


class Global(IdentityTransformer):
    """Keeps what it learnt in its module, where save() does not find it."""

    def fit(self, records):
        global factor
        factor = 2.0

    def transform(self, data_record):
        x, *rest = data_record
        return ({"x": x["x"] * factor}, *rest)


class Reader(IdentityTransformer):
    """Saves where a file lies, not what stands in it."""

    def fit(self, records):
        self.path = Path("factor.txt").resolve()

    def save(self, path):
        Path(path, "path.txt").write_text(str(self.path))

    def load(self, path):
        self.path = Path(Path(path, "path.txt").read_text())

    def transform(self, data_record):
        x, *rest = data_record
        return ({"x": x["x"] * float(self.path.read_text())}, *rest)


class Unpacks(IdentityTransformer):
    """Reads through a file that it makes itself."""

    def load(self, path):
        made = Path(tempfile.mkdtemp(prefix="odd_parts-"), "factor.txt")
        made.write_text("2.0")
        self.factor = float(made.read_text())


class Moments(RecordLoader):
    """Counts with what a record has of time."""

    def load(self, record):
        since = record["day"] - date(2024, 1, 1)
        x = [
            record["seen"].hour + record["at"].hour,
            since.days + record["span"].total_seconds() / 86_400,
        ]
        return ({"x": x},) if self.mode.value == "score" else ({"x": x}, {"label": record["label"]})


class Late(IdentityTransformer):
    """Imports a module that nothing names."""

    def transform(self, data_record):
        importlib.import_module("hid" + "den")
        return data_record


class Dated(IdentityTransformer):
    """Answers with what JSON does not hold."""

    def postprocess(self, score):
        return {"day": date(2026, 1, 1)}


class Draws(IdentityTransformer):
    """Scores at random."""

    def postprocess(self, score):
        return {"drawn": [random.random()], "word": random.choice(["a", "b"])}


class DrawsOnlyHere(IdentityTransformer):
    """Scores at random, and elsewhere in another form."""

    def postprocess(self, score):
        return {"drawn": random.random() if os.environ.get("FITTED") else None}

    def fit(self, records):
        os.environ["FITTED"] = "yes"


class Noise(keras.layers.Layer):
    """Draws at random when it scores, too."""

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x))
'''
SEE = (
    "; see that the transformer's save() writes, and its load() reads, all that scoring uses"
)  # fmt: skip


@pytest.fixture(scope="module")
def process() -> Iterator[ModelProcess]:
    """One for all models: their code is the same."""
    with ModelProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def project(
    tmp_path: Path,
    process: ModelProcess,
    proved_models: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    for user in ("training.train", "commands.check"):
        monkeypatch.setattr(f"barrage_mlflow.{user}.ModelProcess", lambda: nullcontext(process))
    home = tmp_path / "project"
    home.mkdir()
    (home / "odd_parts.py").write_text(PARTS, "utf-8")
    (home / "hidden.py").write_text("", "utf-8")
    (home / "factor.txt").write_text("2.0", "utf-8")
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(home)
    monkeypatch.setenv("FITTED", "")
    yield home
    sys.modules.pop("odd_parts", None)


def fail(transformer: str, stage: str = "the packaged model") -> str:
    """Train with a transformer; the message with which that fails, and a dry run before it."""
    config = small_config(
        solver__epochs=1, dataset__transformer={"import": f"odd_parts.{transformer}"}
    )
    report, found = dry_run(read_config(config), TRAIN, VALIDATION)
    assert report.endswith(f"\nstopped at {stage}")
    with pytest.raises(ComponentError, match=r"packaged model|postprocess") as error:
        train(config, TRAIN, VALIDATION, artifact_dir="out")
    scores = r"\d\.\d+"  # which are of other weights
    assert re.sub(scores, "#", str(found)) == re.sub(scores, "#", str(error.value))
    run = only_run()
    assert run.info.status == "FAILED"
    assert run.data.tags["barrage.error"] == describe_error(error.value)
    assert run.outputs.model_outputs == []
    return str(error.value)


def test_what_save_forgets_is_found_by_the_scores() -> None:
    message = fail("Global")
    start = "the packaged model scores its input example otherwise in a clean process: record 0, "
    assert message.startswith(start + "'label'[0]: ")
    assert message.endswith(SEE)


def test_a_file_of_the_training_machine_is_named(project: Path) -> None:
    assert fail("Reader") == (
        f"the packaged model reads {project}/factor.txt, which other machines have not: have the "
        "transformer write what it needs in save(), and read it in load()"
    )


def test_dates_and_durations_come_back_as_they_were_trained_on() -> None:
    for name, frame in {"train": TRAIN, "validation": VALIDATION}.items():
        seen = pd.date_range("2024-01-01", periods=len(frame), freq="7h", tz="Europe/Berlin")
        span = pd.to_timedelta(frame["a"], "D")
        written = frame.assign(seen=seen, day=seen.date, at=seen.time, span=span)
        written.to_parquet(f"{name}.parquet")
        written.to_csv(f"{name}.csv", index=False)
    config = small_config(solver__epochs=1, dataset__loader={"import": "odd_parts.Moments"})
    result = train(config, "train.parquet", "validation.parquet", artifact_dir="out")
    assert only_run().info.status == "FINISHED"
    model = mlflow.pyfunc.load_model(result.model_uri)
    parquet, csv = (
        Scorer.load("out").score(f"validation.{suffix}")["label"] for suffix in ("parquet", "csv")
    )
    example = [*model.predict(model.input_example)["label"]]
    np.testing.assert_allclose(example, parquet[:5], rtol=1e-5)
    np.testing.assert_array_equal(csv, parquet)


def test_a_file_that_the_model_makes_itself_may_lie_beside_the_records(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(project / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # looks there anew
    monkeypatch.setattr("barrage_mlflow.training.train.ModelProcess", ModelProcess)
    config = small_config(solver__epochs=1, dataset__transformer={"import": "odd_parts.Unpacks"})
    TRAIN.to_csv("tmp/train.csv", index=False)
    train(config, "tmp/train.csv", VALIDATION, artifact_dir="out")
    assert [*project.glob("tmp/odd_parts-*/factor.txt")]
    assert only_run().info.status == "FINISHED"


def test_a_module_that_is_not_packaged_is_named() -> None:
    assert fail("Late") == (
        "the packaged model cannot score its input example in a clean process: "
        "MlflowException: ModuleNotFoundError: No module named 'hidden'\n"
        "in input, record 0, stage transform, component odd_parts.Late"
    )


def test_scores_that_json_does_not_hold_are_refused() -> None:
    assert fail("Dated", "the score batch") == (
        "postprocess gives for output 'day' what JSON does not hold (Object of type date is not "
        "JSON serializable): expected numbers, strings, truth values, None, and lists and dicts "
        "of them"
    )


def test_a_model_that_scores_at_random_is_proved_by_the_form_of_its_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = small_config(solver__epochs=1, dataset__transformer={"import": "odd_parts.Draws"})
    train(config, TRAIN, VALIDATION, artifact_dir="out")
    assert only_run().info.status == "FINISHED"
    assert [each for each in caplog.messages if "at random" in each] == [
        "the model draws at random when it scores, so its numbers could not be proved, "
        "only their form"
    ]


def test_a_network_that_draws_is_evaluated_as_it_was_packaged(evaluated_models: None) -> None:
    config = small_config(solver__epochs=1)
    config["model"]["network"]["params"]["layers"].insert(2, {"import": "odd_parts.Noise"})
    train(config, TRAIN, VALIDATION, artifact_dir="out")
    record = read_record(Path("out"))
    assert record is not None
    # As if it had been killed then: it goes on with the packaged model.
    replace(record, evaluation={}).write(Path("out"))
    train(config, TRAIN, VALIDATION, artifact_dir="out", resume=True)
    again = read_record(Path("out"))
    assert again is not None
    assert again.evaluation["validation"]["metrics"] == record.evaluation["validation"]["metrics"]


def test_a_model_that_scores_at_random_in_another_form_elsewhere_is_found() -> None:
    assert fail("DrawsOnlyHere") == (
        "the packaged model scores its input example otherwise in a clean process: record 0, "
        "'drawn': 'NoneType', expected 'float'" + SEE
    )


def test_a_network_in_half_precision_is_compared_as_it_is_compiled() -> None:
    config = small_config(solver__epochs=1, solver__dtype_policy="mixed_bfloat16")
    # Deep enough for what is computed op by op to differ from what is compiled.
    config["model"]["network"]["params"]["layers"][1:2] = [
        {"import": "Dense", "params": {"units": 64, "activation": "gelu"}},
        {"import": "BatchNormalization"},
        {"import": "Dense", "params": {"units": 64, "activation": "tanh"}},
        {"import": "LayerNormalization"},
    ]
    train(config, TRAIN, VALIDATION, artifact_dir="out")
    assert only_run().info.status == "FINISHED"


@pytest.mark.parametrize(
    ("dtypes", "apart"),
    [({"float32"}, 2e-5), ({"float32", "float16"}, 1e-2), ({"float32", "bfloat16"}, 1e-1)],
)
def test_half_precision_rounds_more(dtypes: set[str], apart: float, project: Path) -> None:
    elsewhere = Mock(call=lambda *_: ([{"a": 1.0}], []))
    for difference in (apart / 2, apart):
        expected = pd.DataFrame({"a": [1.0 + difference]})
        message = f"otherwise in a clean process: record 0, 'a': 1.0, expected {1.0 + difference};"
        is_seen = pytest.raises(ComponentError, match=message) if difference == apart else None
        with is_seen or nullcontext():
            prove(elsewhere, project, expected, lambda each=expected: each, [], dtypes)


def test_what_is_installed_may_lie_in_the_project_behind_a_link(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = project / "venv" / "lib" / "module.py"
    module.parent.mkdir(parents=True)
    module.touch()
    link = project.with_name("link")
    link.symlink_to(project)
    monkeypatch.setattr(sys, "prefix", str(link / "venv"))
    elsewhere = Mock(call=lambda *_: ([{"a": 1.0}], [str(module)]))
    prove(elsewhere, project, pd.DataFrame({"a": [1.0]}), Mock(), [link])


@pytest.mark.parametrize(
    ("scores", "expected", "difference"),
    [
        ([{"a": 1.0}], [{"a": 1.0 + 1e-6}], ""),
        ([{"a": 1.0}], [{"a": 1.0001}], "record 0, 'a': 1.0, expected 1.0001"),
        ([{"a": 1}], [{"a": 1.0}], "record 0, 'a': 1, expected 1.0"),
        ([{"a": "x"}, {"a": "x"}], [{"a": "x"}, {"a": "y"}], "record 1, 'a': 'x', expected 'y'"),
        (
            [{"a": {"b": [0.0, 1.0]}}],
            [{"a": {"b": [0.0, 2.0]}}],
            "record 0, 'a', 'b'[1]: 1.0, expected 2.0",
        ),
        ([{"a": [1.0]}], [{"a": [1.0, 2.0]}], "record 0, 'a': [1.0], expected [1.0, 2.0]"),
        ([{"a": 1.0}], [{"b": 1.0}], "record 0: {'a': 1.0}, expected {'b': 1.0}"),
        ([{"a": None}], [{"a": None}], ""),
    ],
)
def test_the_first_difference(scores: list, expected: list, difference: str) -> None:
    assert first_difference(scores, expected) == difference
