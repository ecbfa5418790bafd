"""The packaged model: signature, input example, code, and answers equal to the Scorer's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from mlflow.exceptions import MlflowException
from outside import brought_along
from small import TRAIN, VALIDATION, small_config

from barrage_mlflow import ArtifactError, Scorer, TrainingResult, train
from barrage_mlflow.pyfunc import ScoringModel, load_scorer
from barrage_mlflow.scoring.dependencies import requirements


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the store and of a finished training."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def result(home: Path) -> TrainingResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        return train(
            small_config(solver__epochs=1), TRAIN, VALIDATION, artifact_dir="out", register="small"
        )


@pytest.fixture
def trained(home: Path, result: TrainingResult, monkeypatch: pytest.MonkeyPatch) -> TrainingResult:
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    return result


def test_every_way_to_load_gives_the_scorers_numbers(trained: TrainingResult) -> None:
    expected = Scorer.load(trained.artifact_dir).score(VALIDATION)["label"]
    for uri in (trained.model_uri, "models:/small/1", f"runs:/{trained.run_id}/model"):
        frame = mlflow.pyfunc.load_model(uri).predict(VALIDATION)
        assert list(frame) == ["label"]
        np.testing.assert_array_equal(np.array(frame["label"].tolist(), np.float32), expected)
        np.testing.assert_array_equal(load_scorer(uri).score(VALIDATION)["label"], expected)


def test_the_signature_is_what_scoring_reads_and_gives(trained: TrainingResult) -> None:
    signature = mlflow.models.get_model_info(trained.model_uri).signature
    assert signature.inputs.to_dict() == [
        {"type": "double", "name": "a", "required": True},
        {"type": "double", "name": "b", "required": True},
    ]
    assert signature.outputs.to_dict() == [
        {"type": "array", "items": {"type": "double"}, "name": "label", "required": True}
    ]


def test_the_model_holds_code_example_and_pinned_requirements(trained: TrainingResult) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(trained.model_uri))
    assert {path.name for path in (folder / "code").iterdir()} == {"barrage_mlflow"}
    assert not list(folder.rglob("*.pkl"))
    example = mlflow.pyfunc.load_model(trained.model_uri).input_example
    pd.testing.assert_frame_equal(example, VALIDATION[["a", "b"]][:5])
    requirements = (folder / "requirements.txt").read_text("utf-8").splitlines()
    assert {line.partition("==")[0] for line in requirements} >= {"tensorflow", "keras", "mlflow"}
    assert all("==" in line or line.startswith("uvloop>=") for line in requirements)
    model = yaml.safe_load((folder / "MLmodel").read_text("utf-8"))
    assert model["flavors"]["python_function"]["loader_module"] == "barrage_mlflow.pyfunc"


NAN_IN_A = r"input, record 1: input 'x', column 'a': expected a number, got a missing value \(NaN\)"


def test_a_bad_record_is_the_callers_fault(trained: TrainingResult) -> None:
    model = ScoringModel(Scorer.load(trained.artifact_dir))
    broken = pd.DataFrame({"a": [0.0, np.nan], "b": [0.0, 0.0]})
    with pytest.raises(MlflowException, match=NAN_IN_A) as error:
        model.predict(broken)
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"


LENGTHS = """
from barrage_mlflow import RecordLoader, RecordMode

class Loader(RecordLoader):
    def load(self, record):
        ready = -1 if record["ready"] is None else int(record["ready"])
        x = {"x": [record["carat"], record["count"], ready, len(record["cut"])]}
        return (x,) if self.mode is RecordMode.SCORE else (x, {"label": 1})
"""
DICTIONARY = pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
WHAT_TO_WRITE = {"carat": "float64", "cut": "str"}


def test_the_types_of_a_frame_that_mlflow_takes_and_what_to_write_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lengths.py").write_text(LENGTHS, "utf-8")
    columns = {"carat": [1.0, 2.0] * 9, "count": range(18), "cut": ["fair", "ideal"] * 9}
    frame = pd.DataFrame(columns).assign(ready=np.array([True, None] * 9, object))
    config = small_config(solver__epochs=1, dataset__loader={"import": "lengths.Loader"})
    config["model"]["network"]["params"]["layers"][0]["params"]["shape"] = [4]
    model = mlflow.pyfunc.load_model(train(config, frame, frame).model_uri)
    # MLflow's server would cut 1.5 to 1 for a long.
    types = {spec.name: str(spec.type) for spec in model.metadata.get_input_schema()}
    typed = {"carat": "DataType.double", "cut": "DataType.string"}
    assert types == {**typed, "count": "Any", "ready": "Any"}
    with pytest.raises(MlflowException, match=r"'count': expected a whole number, got 0\.5$"):
        model.predict(frame.assign(count=frame["count"] + 0.5))
    expected = model.predict(frame)["label"].tolist()
    nullable = {"carat": "float64[pyarrow]", "count": "Int64", "cut": "string", "ready": "boolean"}
    categories = {"count": "category", "ready": "category"}
    for types in (nullable, categories, {"count": "float64"}, object):
        assert model.predict(frame.astype(types))["label"].tolist() == expected
    refused = [("cut", "category"), ("cut", DICTIONARY), ("carat", "category"), ("carat", "Int64")]
    for name, kind in refused:
        other = frame.astype({name: kind})
        with pytest.raises(MlflowException, match=f"types for column {name}. Can not safely conv"):
            model.predict(other)
        assert model.predict(other.astype(WHAT_TO_WRITE))["label"].tolist() == expected
        assert model.get_raw_model().score(other)["label"].tolist() == expected
    for backend in ("numpy_nullable", "pyarrow"):  # makes whole numbers of carats
        converted = frame.convert_dtypes(dtype_backend=backend).astype(WHAT_TO_WRITE)
        assert model.predict(converted)["label"].tolist() == expected


ANOTHER_TOOL = """
class Model:
    def predict(self, frame):
        return frame

def _load_pyfunc(path):
    return Model()
"""


def test_another_tools_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    Path("another_tool.py").write_text(ANOTHER_TOOL, "utf-8")
    mlflow.pyfunc.save_model("other", loader_module="another_tool", pip_requirements=["mlflow"])
    with pytest.raises(ArtifactError, match=r"^other: not a model that barrage-mlflow packaged$"):
        load_scorer("other")


@pytest.mark.parametrize(
    ("damaged", "named"),
    [
        ("MLmodel", "MLmodel"),
        ("input_example.json", "input_example.json"),
        ("data/config.json", "data/config.json"),
        ("data/signature.json", "data/signature.json"),
        ("data/network/saved_model.pb", "data/network"),
        ("data/network/variables/variables.index", "data/network"),
        ("data/network/variables/variables.data-00000-of-00001", "data/network"),
    ],
)
@pytest.mark.parametrize("text", ["", "{[\t}"])
def test_a_damaged_file_of_a_model_is_named(
    trained: TrainingResult, tmp_path: Path, damaged: str, named: str, text: str
) -> None:
    shutil.copytree(trained.artifact_dir / "model", tmp_path / "model")
    (tmp_path / "model" / damaged).write_text(text)
    expected = (
        rf"(?s)^{tmp_path}/model/{named}: cannot be read \(.*\); fetch it again from where it "
        "came, or train again$"
    )
    with pytest.raises(ArtifactError, match=expected):
        load_scorer(str(tmp_path / "model"))


LOADED_WHILE_SCORING = """
import json, sys
from importlib import metadata
import mlflow, pandas

before = set(sys.modules)
mlflow.pyfunc.load_model(sys.argv[1]).predict(pandas.DataFrame({"a": [0.5], "b": [0.5]}))
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
owners = metadata.packages_distributions()
print(json.dumps(sorted({owner for top in tops for owner in owners.get(top, ())})))
"""


TENSORFLOWS = re.compile(r"\d{4}-\d\d-\d\d [\d:.]+: [IWEF] |[IWEF]0000 |WARNING: All log messages")
"""A note of TensorFlow."""


def test_the_requirements_bring_all_that_scoring_loads(trained: TrainingResult) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOADED_WHILE_SCORING, trained.model_uri],
        env={name: text for name, text in os.environ.items() if not name.startswith("TF_")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line for line in ended.stderr.splitlines() if TENSORFLOWS.match(line)] == []
    loaded = set(json.loads(ended.stdout.splitlines()[-1])) - {"barrage-mlflow"}
    assert "tensorflow" in loaded
    assert not {"keras", "scikit-learn", "matplotlib"} & loaded  # as long to load as all the rest
    assert loaded <= brought_along(requirements())
