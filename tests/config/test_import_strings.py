"""Import strings: aliases, short names, old paths, the project's own code, and bad ones."""

import importlib
import sys
import types
from pathlib import Path

import keras
import pytest
from keras.src.losses import ALL_OBJECTS_DICT as KERAS_LOSSES
from keras.src.metrics import ALL_OBJECTS_DICT as KERAS_METRICS
from keras.src.optimizers import ALL_OBJECTS_DICT as KERAS_OPTIMIZERS

from barrage_mlflow.config.import_strings import find_target, load_path
from barrage_mlflow.config.import_targets import Accepts
from barrage_mlflow.config.project_source import SourceReader
from barrage_mlflow.errors import ImportPathError

REFUSALS = Path(__file__).parent / "golden" / "refusals.tsv"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes modules of a project that is on the Python path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**modules):
        for name, text in modules.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def load_import(path, kind):
    target = find_target(path, kind)
    return target.path if target.form == "alias" else load_path(target.path)


def refusal(path, kind, reader=None):
    with pytest.raises(ImportPathError, match=r"'") as caught:
        find_target(path, kind, reader)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_every_alias_that_keras_resolves():
    for alias, resolved in KERAS_LOSSES.items():
        if alias != "LossFunctionWrapper":  # Keras keeps it to itself: it takes a function
            found = load_import(alias, "loss")
            assert issubclass(found, keras.losses.Loss)
            assert found.__name__.lower() == resolved.__name__.replace("_", "").lower()
    for alias, resolved in KERAS_METRICS.items():
        assert load_import(alias, "metric") == (alias if alias.lower() == "accuracy" else resolved)
    for alias, resolved in KERAS_OPTIMIZERS.items():
        if alias != "optimizermap":  # it is listed among the optimizers but is none
            assert load_import(alias, "optimizer") is resolved


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("metric", "huber", "losses.Huber"),
        ("metric", "keras.losses.Huber", "losses.Huber"),
        ("metric", "tensorflow.python.keras.metrics.AUC", "metrics.AUC"),
        ("loss", "tensorflow.python.keras.losses.KLDivergence", "losses.KLDivergence"),
        ("optimizer", "adamW", "optimizers.AdamW"),
        ("optimizer", "tf.keras.optimizers.legacy.Adam", "optimizers.Adam"),
        ("optimizer", "keras.optimizers.experimental.Nadam", "optimizers.Nadam"),
        ("optimizer", "tensorflow.python.keras.optimizer_v2.adam.Adam", "optimizers.Adam"),
        ("schedule", "CosineDecay", "optimizers.schedules.CosineDecay"),
        (
            "schedule",
            "tensorflow.python.keras.optimizer_v2.learning_rate_schedule.ExponentialDecay",
            "optimizers.schedules.ExponentialDecay",
        ),
        ("layer", "Input", "layers.InputLayer"),
        ("layer", "tf.keras.Input", "layers.InputLayer"),
        ("layer", "tensorflow.python.keras.engine.input_layer.Input", "layers.InputLayer"),
        ("layer", "tensorflow.python.keras.layers.recurrent.LSTM", "layers.LSTM"),
        (
            "layer",
            "tf.keras.layers.experimental.preprocessing.Normalization",
            "layers.Normalization",
        ),
        ("callback", "tensorflow.python.keras.callbacks.CSVLogger", "callbacks.CSVLogger"),
        ("network", "tensorflow.python.keras.engine.sequential.Sequential", "models.Sequential"),
        ("network", "keras.Sequential", "Sequential"),
    ],
)  # fmt: skip
def test_paths_into_keras(kind, path, expected):
    found = keras
    for part in expected.split("."):
        found = getattr(found, part)
    assert load_import(path, kind) is found


def test_paths_into_barrage():
    import barrage_mlflow.dataset as dataset
    import barrage_mlflow.model as model

    for path in (
        "KeySelector",
        "barrage.dataset.KeySelector",
        "barrage_mlflow.dataset.KeySelector",
    ):
        assert load_import(path, "loader") is dataset.KeySelector
    assert load_import("IdentityTransformer", "transformer") is dataset.IdentityTransformer
    for path in ("sequential_from_config", "barrage.model.sequential_from_config"):
        assert load_import(path, "network") is model.sequential_from_config


def test_old_paths_are_mapped_before_anything_is_imported(monkeypatch):
    imported = []
    real = importlib.import_module
    monkeypatch.setattr(
        importlib, "import_module", lambda name: imported.append(name) or real(name)
    )
    load_import("tensorflow.python.keras.optimizer_v2.adam.Adam", "optimizer")
    load_import("barrage.dataset.KeySelector", "loader")
    assert {name.partition(".")[0] for name in imported} == {"keras", "barrage_mlflow"}


def test_paths_into_the_project(project):
    project(
        shop="from barrage_mlflow.dataset import RecordLoader\n"
        "class Loader(RecordLoader):\n    def load(self, record): ...\n"
        "class Outer:\n    class Inner(Loader): ...\n"
        "def make(mode): ...\n",
        store__parts="from shop import Loader\n",
    )
    loader = load_import("shop.Loader", "loader")
    assert loader.__module__ == "shop"
    assert load_import("store.parts.Loader", "loader") is loader
    assert load_import("shop.Outer.Inner", "loader").__name__ == "Inner"
    assert load_import("shop.make", "loader").__name__ == "make"


def test_paths_that_lead_nowhere(project):
    project(
        shop="NUMBER = 3\nclass Plain: ...\ndef make(): ...\nclass Loader:\n    size = 3\n",
        store__parts="",
    )
    lines = REFUSALS.read_text("utf-8").splitlines()
    for kind, path, expected in (line.split("\t") for line in lines):
        assert refusal(path, kind, SourceReader()) == expected
        assert refusal(path, kind) == expected


def test_a_module_that_raises_keeps_its_exception(project):
    project(
        broken="raise KeyError('no\\nsuch key')",
        leaving="import sys\nsys.exit(3)",
        needy="import no_such_library",
        needy_from="from json import no_such_name",
        outer="import needy",
    )
    assert refusal("broken.Loader", "loader") == (
        "'broken.Loader': importing module 'broken' raised KeyError: 'no\\nsuch key'"
    )
    assert "raised SystemExit: 3" in refusal("leaving.Loader", "loader")
    for module in ("needy", "outer"):
        assert refusal(f"{module}.Loader", "loader") == (
            f"'{module}.Loader': importing module '{module}' raised ModuleNotFoundError: "
            "No module named 'no_such_library'"
        )
    assert "raised ImportError: cannot import name" in refusal("needy_from.Loader", "loader")
    with pytest.raises(ImportPathError, match="broken") as caught:
        load_import("broken.Loader", "loader")
    assert type(caught.value.__cause__) is KeyError


def test_a_module_that_loads_names_on_demand_may_fail_at_it(project):
    project(lazy="def __getattr__(name):\n    raise ValueError('not today')\n")
    assert refusal("lazy.Loader", "loader") == (
        "'lazy.Loader': importing module 'lazy' raised ValueError: not today"
    )


def test_a_module_that_imports_the_old_package(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "barrage", None)
    project(
        old="from barrage.dataset import RecordLoader\nclass Loader(RecordLoader): ...\n",
        outer="from old import Loader\n",
    )
    for module in ("old", "outer"):
        assert refusal(f"{module}.Loader", "loader", SourceReader()) == (
            f"'{module}.Loader': importing module '{module}' raised ModuleNotFoundError: No module "
            "named 'barrage.dataset'; 'barrage' is not a package; "
            "in old.py, write 'from barrage_mlflow.dataset import RecordLoader'"
        )


def test_a_class_that_derives_from_an_older_one(project, monkeypatch):
    api = types.ModuleType("barrage.api")
    api.RecordLoader = type("RecordLoader", (), {})
    monkeypatch.setitem(sys.modules, "barrage", types.ModuleType("barrage"))
    monkeypatch.setitem(sys.modules, "barrage.api", api)
    project(
        losses="from tensorflow.python.keras.losses import Loss\nclass Own(Loss): ...\n",
        loaders="from barrage.api import RecordLoader\nclass Own(RecordLoader): ...\n",
    )
    assert refusal("losses.Own", "loss", SourceReader()) == (
        "'losses.Own' is no keras.losses.Loss; in losses.py, write 'from keras import Loss'"
    )
    assert refusal("loaders.Own", "loader", SourceReader()) == (
        "'loaders.Own' is no barrage_mlflow.dataset.RecordLoader; "
        "in loaders.py, write 'from barrage_mlflow.dataset import RecordLoader'"
    )


def test_keras_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ImportPathError, match=r"Huber' leads nowhere: no module 'keras' on the P"):
        load_import("keras.losses.Huber", "loss")


def test_private_paths_are_imported():
    assert load_import("keras.src.losses.losses.Huber", "loss") is keras.losses.Huber
    assert "'Huber'" in refusal("keras.src.losses.losses.Hubr", "loss")


def test_signatures():
    assert Accepts.of(dict.fromkeys).any_name is False
    assert Accepts.of(type) == Accepts(any_count=True, any_name=True)
    accepts = Accepts.of(lambda a, /, b, *c, d, **e: None)
    assert accepts == Accepts(("a", "b"), ("b", "d"), ("a", "b", "d"), True, True)
    assert accepts.shown() == "(a, b, d, *, **)"
    assert [str(problem) for problem in accepts.problems(["z"], ("mode",))] == [
        "missing params 'b', 'd'"
    ]
    (problem,) = Accepts.of(lambda: None).problems([], ("mode", "loader"))
    assert str(problem) == "it must accept (mode, loader) by position, but accepts ()"
