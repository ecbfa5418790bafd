"""Building components from import blocks, and the messages when that fails."""

import copy

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


def refusal(name, kind, /, *args, error=ComponentError, **params):
    with pytest.raises(error, match=r"^\$\.here") as caught:
        build(name, kind, *args, **params)
    return str(caught.value)


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
    assert refusal("parts.Swapped", "loader", RecordMode.SCORE, size=3, mode="score") == (
        "$.here: parts.Swapped: param 'mode' is passed by Barrage; remove it "
        "(it accepts (size, mode, **))"
    )


def test_params_may_be_left_out():
    assert build_import({"import": "parts.Loader"}, "loader", "$", RecordMode.TRAIN).size == 1


def test_a_function_is_called_too():
    assert build("parts.make_loader", "loader", RecordMode.TRAIN, size=2).size == 2


def test_an_augmentor_is_the_function_itself():
    import parts

    assert build("parts.flip", "augmentor", axis=1) is parts.flip
    assert build("parts.jitter", "augmentor", scale=1) is parts.jitter


def test_a_loss_alias_becomes_the_loss_object():
    loss = build("mse", "loss", reduction="sum")
    assert (type(loss), loss.reduction) == (keras.losses.MeanSquaredError, "sum")


def test_an_alias_that_depends_on_the_shapes_stays_one():
    assert build("accuracy", "metric", name="mine") == "accuracy"
    assert build("ce", "loss") == "ce"


def test_a_metric_may_be_a_loss():
    assert type(build("huber", "metric")) is keras.losses.Huber
    assert type(build("AUC", "metric")) is keras.metrics.AUC


def test_a_factory_of_losses_is_accepted():
    assert build("parts.factory", "loss", name="mine").name == "mine"
    assert isinstance(build("parts.Loss", "metric"), keras.losses.Loss)


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
    params = {"layer": {"import": "RNN", "params": {"cell": [{"import": "LSTMCel"}]}}}
    assert refusal("Bidirectional", "layer", error=ImportPathError, **params) == (
        "$.here.params.layer.params.cell[0].import: 'LSTMCel' names no layer in Keras; "
        "did you mean 'LSTMCell'?"
    )


def test_optimizers_schedules_and_callbacks():
    schedule = build("CosineDecay", "schedule", initial_learning_rate=0.5, decay_steps=3)
    optimizer = build("adam", "optimizer", learning_rate=schedule, beta_1=0.5)
    assert (type(optimizer), optimizer.beta_1) == (keras.optimizers.Adam, 0.5)
    assert build("EarlyStopping", "callback", patience=3).patience == 3


def test_the_block_is_not_changed():
    block = {"import": "Input", "params": {"shape": 4}}
    build_import(block, "layer", "$")
    assert block == {"import": "Input", "params": {"shape": 4}}


def test_an_import_that_leads_nowhere():
    assert refusal("parts.Loadr", "loader", error=ImportPathError) == (
        "$.here.import: 'parts.Loadr' leads nowhere: 'parts' has no 'Loadr'; did you mean 'Loader'?"
    )


def test_params_that_do_not_fit():
    assert refusal("parts.Loader", "loader", RecordMode.TRAIN, sise=3, mode=1) == (
        "$.here: parts.Loader: unknown param 'sise'; did you mean 'size'?; "
        "param 'mode' is passed by Barrage; remove it (it accepts (mode, size))"
    )
    assert refusal("parts.make_loader", "loader", RecordMode.TRAIN) == (
        "$.here: parts.make_loader: missing param 'size' (it accepts (mode, size))"
    )
    assert refusal("parts.jitter", "augmentor", rng=1, scale=1) == (
        "$.here: parts.jitter: param 'rng' is passed by Barrage; remove it "
        "(it accepts (data_record, scale, rng))"
    )
    assert refusal("accuracy", "metric", threshold=0.5) == (
        "$.here: accuracy: unknown param 'threshold'; known params: 'name' (it accepts (name))"
    )


def test_what_comes_out_is_of_another_kind():
    assert refusal("parts.make_nothing", "loader", RecordMode.TRAIN) == (
        "$.here: parts.make_nothing gave a NoneType, expected a barrage_mlflow.dataset.RecordLoader"
    )


def test_a_plain_function_is_no_loss():
    assert refusal("parts.plain", "loss", error=ImportPathError) == (
        "$.here.import: 'parts.plain' is a plain function of (y_true, y_pred), no loss; "
        "give a class derived from keras.losses.Loss"
    )
    path = "keras.losses.mean_squared_error"
    assert refusal(path, "metric", error=ImportPathError) == (
        f"$.here.import: '{path}' is a plain function of (y_true, y_pred), no metric; "
        "write 'mean_squared_error', or give a class"
    )


def test_what_keras_turns_down():
    text = refusal("MeanSquaredError", "loss", reduction="summ")
    assert text.startswith("$.here: keras.losses.MeanSquaredError turned its params down: Invalid")
    assert len(text.splitlines()) == 1


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
