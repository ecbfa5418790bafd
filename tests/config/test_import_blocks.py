"""Building components from import blocks, and the messages when that fails."""

import copy
import json
from pathlib import Path

import keras
import pytest

from barrage_mlflow.config.import_blocks import build_import
from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
from barrage_mlflow.errors import ComponentError, ImportPathError

PARTS = """
import keras
from barrage_mlflow.dataset import RecordLoader

class Loader(RecordLoader):
    def __init__(self, mode, size=1):
        super().__init__(mode)
        if size < 0:
            raise OverflowError("too small")
        self.size = size
    def load(self, record): ...

def make_loader(mode, size):
    return Loader(mode, size)

def make_nothing(mode): ...

class Swapped(Loader):
    def __init__(self, size, mode, **params):
        super().__init__(mode, size, **params)

class Renamed(Loader):
    def __init__(self, m, **params):
        super().__init__(m, **params)

class HandingOn(Loader):
    def __init__(self, **params):
        super().__init__(**params)

def flip(data_record, axis=0): ...
def jitter(data_record, scale, rng): ...

class Loss(keras.losses.Loss):
    def call(self, y_true, y_pred): ...

def factory(name):
    return Loss(name=name)

def plain(y_true, y_pred): ...
"""


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    (tmp_path / "parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(str(tmp_path))


def build(name, kind, /, *args, **params):
    return build_import({"import": name, "params": params}, kind, "$.here", *args)


def test_a_class_is_called_with_what_the_engine_passes_and_its_params():
    selector = build(
        "KeySelector", "loader", RecordMode.TRAIN, inputs={"x": "a"}, outputs={"y": "b"}
    )
    assert type(selector) is KeySelector
    assert selector.mode is RecordMode.TRAIN
    transformer = build("IdentityTransformer", "transformer", RecordMode.TRAIN, selector)
    assert type(transformer) is IdentityTransformer
    assert build("parts.Loader", "loader", RecordMode.SCORE, size=3).size == 3


def test_what_the_engine_passes_goes_by_its_name_where_there_is_one():
    for name in ("Swapped", "Renamed", "HandingOn"):
        loader = build(f"parts.{name}", "loader", RecordMode.SCORE, size=3)
        assert (loader.mode, loader.size) == (RecordMode.SCORE, 3)


def test_params_may_be_left_out():
    assert build_import({"import": "parts.Loader"}, "loader", "$", RecordMode.TRAIN).size == 1


def test_what_functions_and_aliases_make():
    import parts

    assert build("parts.make_loader", "loader", RecordMode.TRAIN, size=2).size == 2
    assert build("parts.factory", "loss", name="mine").name == "mine"
    # An augmentor is the function itself, and of some aliases only shapes tell the class.
    assert build("parts.flip", "augmentor", axis=1) is parts.flip
    assert build("parts.jitter", "augmentor", scale=1) is parts.jitter
    assert build("accuracy", "metric", name="mine") == "accuracy"
    assert build("ce", "loss") == "ce"


@pytest.mark.parametrize(
    ("name", "kind", "params", "made"),
    [
        ("mse", "loss", {"reduction": "sum"}, keras.losses.MeanSquaredError),
        ("huber", "metric", {"reduction": "sum"}, keras.losses.Huber),
        ("AUC", "metric", {"num_thresholds": 3}, keras.metrics.AUC),
        ("parts.Loss", "metric", {"name": "mine"}, keras.losses.Loss),
        ("Input", "layer", {"shape": 4}, keras.layers.InputLayer),
        ("adam", "optimizer", {"beta_1": 0.5}, keras.optimizers.Adam),
        ("CosineDecay", "schedule", {"initial_learning_rate": 0.5, "decay_steps": 3},
         keras.optimizers.schedules.CosineDecay),
        ("EarlyStopping", "callback", {"patience": 3}, keras.callbacks.EarlyStopping),
    ],
)  # fmt: skip
def test_what_a_block_makes_of_keras(name, kind, params, made):
    before = copy.deepcopy(params)
    built = build_import({"import": name, "params": params}, kind, "$")
    assert isinstance(built, made)
    if name != "Input":
        assert {key: getattr(built, key) for key in params} == params
    assert params == before


def test_an_input_takes_an_integer_shape():
    assert build("Input", "layer", shape=4).batch_shape == (None, 4)
    assert build("tf.keras.Input", "layer", shape=[4, 2]).batch_shape == (None, 4, 2)


def test_blocks_within_the_params_of_a_layer_are_built():
    regularizer = {"import": "L2", "params": {"l2": 0.5}}
    cell = {"import": "LSTMCell", "params": {"units": 2, "kernel_regularizer": regularizer}}
    given = {"layer": {"import": "RNN", "params": {"cell": [cell, cell]}}, "merge_mode": "sum"}
    before = copy.deepcopy(given)
    layer = build("Bidirectional", "layer", **given)
    first, second = layer.forward_layer.cell.cells
    assert (given, first.units, second.kernel_regularizer.l2) == (before, 2, 0.5)


REFUSALS = (Path(__file__).parent / "golden" / "build_refusals.txt").read_text("utf-8")


@pytest.mark.parametrize("group", REFUSALS.split("\n\n"), ids=lambda group: group[:40])
def test_what_cannot_be_built(group):
    """Each case is a kind, a name and params, and what is said of them."""
    case, expected = group.strip().split("\n")
    kind, name, params = case.split(" ", 2)
    passed = {"loader": (RecordMode.TRAIN,)}.get(kind, ())
    with pytest.raises((ComponentError, ImportPathError), match=r"^\$\.here") as caught:
        build(name, kind, *passed, **json.loads(params))
    assert str(caught.value) == expected.strip()
    is_path = expected.strip().startswith("$.here.import:") or "[0].import:" in expected
    assert type(caught.value) is (ImportPathError if is_path else ComponentError)


def test_what_keras_turns_down():
    message = r"^\$\.here: keras\.losses\.MeanSquaredError turned its params down: Invalid .*$"
    with pytest.raises(ComponentError, match=message):
        build("MeanSquaredError", "loss", reduction="summ")


def test_what_breaks_and_imports_an_older_keras(tmp_path):
    (tmp_path / "old.py").write_text(
        "from tensorflow.python.keras import layers\n"
        "def mixed(): raise LookupError('not of this Keras')\n"
    )
    remedy = "in old.py, write 'from keras import layers'"
    with pytest.raises(LookupError, match="not of this Keras") as caught:
        build("old.mixed", "network")
    assert caught.value.__notes__ == ["in $.here, import 'old.mixed'", remedy]


def test_an_exception_of_the_users_own_keeps_its_type():
    with pytest.raises(OverflowError, match=r"^too small\nin ") as caught:
        build("parts.Loader", "loader", RecordMode.TRAIN, size=-1)
    assert caught.value.__notes__ == ["in $.here, import 'parts.Loader'"]
