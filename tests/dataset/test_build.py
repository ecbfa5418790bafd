"""Components built from a config, and a fitted transformer on disk."""

import json
from pathlib import Path

import numpy as np
import pytest
from component_parts import RECORDS

from barrage_mlflow.dataset import IdentityTransformer, RecordMode
from barrage_mlflow.dataset.components.build import fit_and_save, load_pipeline
from barrage_mlflow.errors import ComponentError

LEARNT = {
    "units": 3,
    "names": ["a", "b"],
    "table": np.array([[0.1, np.nan]], np.float32),
    "codes": {"a": np.int64(7), "word": np.array(["x", "yy"])},
}


class Learns(IdentityTransformer):
    def fit(self, records):
        self.network_params = LEARNT


class LearnsOther(IdentityTransformer):
    def fit(self, records):
        self.network_params = {"kinds": {1, 2}}


class Computes(IdentityTransformer):
    """Has its network_params as a property."""

    names = ()

    def fit(self, records):
        self.names = sorted(set(records.values("s")))

    @property
    def network_params(self):
        return {"count": len(self.names)}

    def save(self, path):
        Path(path + "/names.json").write_text(json.dumps(self.names))

    def load(self, path):
        self.names = json.loads(Path(path, "names.json").read_text())


class Mistakes(Computes):
    def load(self, path):
        self.names = ["x"]


def config(transformer):
    params = {"inputs": {"x": "a"}, "outputs": {"y": "y"}}
    loader = {"import": "KeySelector", "params": params}
    transformer = {"import": f"{__name__}.{transformer}"}
    return {"dataset": {"loader": loader, "transformer": transformer}, "solver": {"batch_size": 2}}


@pytest.mark.parametrize(("name", "learnt"), [("Learns", LEARNT), ("Computes", {"count": 2})])
def test_network_params_are_the_same_whenever_the_transformer_is_loaded(name, learnt, tmp_path):
    folder = tmp_path / "transformer"
    fit_and_save(config(name), RECORDS, folder)
    for mode in RecordMode:
        loaded = load_pipeline(config(name), mode, folder).transformer.network_params
        np.testing.assert_equal(loaded, learnt)
    assert {path.name for path in folder.iterdir()} == {
        "names.json" if name == "Computes" else "network_params.kept.json"
    }


def test_network_params_that_cannot_be_kept(tmp_path):
    with pytest.raises(TypeError, match="must be JSON values and arrays, got a set") as error:
        fit_and_save(config("LearnsOther"), RECORDS, tmp_path / "transformer")
    assert error.value.__notes__[-1].endswith(f"stage save, component {__name__}.LearnsOther")


def test_network_params_that_load_restores_otherwise(tmp_path):
    with pytest.raises(ComponentError, match=r"got \{'count': 1\} for \{'count': 2\}"):
        fit_and_save(config("Mistakes"), RECORDS, tmp_path / "transformer")
