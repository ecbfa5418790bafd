"""The shipped index of Keras: made anew and compared, and compared with Keras itself."""

import importlib.util
import inspect
import json
import re
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.component_kinds import KINDS
from barrage_mlflow.config.import_strings import load_path

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    """The script that makes the index."""
    spec = importlib.util.spec_from_file_location("index_tool", ROOT / "tools" / "keras_index.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "index_tool", module)  # its dataclass looks there
        spec.loader.exec_module(module)
        yield module


def test_the_index_is_that_of_the_installed_keras(tool):
    shipped = json.loads(tool.FILE.read_text("utf-8"))
    if shipped["version"] != keras.__version__:
        pytest.skip("another patch of Keras, which may take other arguments")
    made = json.loads(json.dumps(tool.make_index()))
    assert made == shipped, "it is old: run tools/keras_index.py"


@pytest.fixture
def _built_for_itself():
    """Other tests count on the first name of a class that Keras numbers in each process."""
    yield
    keras.utils.clear_session()


KERAS_KINDS = tuple(name for name, kind in KINDS.items() if kind.is_keras)
GIVEN = {
    "activation": "relu", "axes": 1, "backup_dir": "backup", "boundaries": [1],
    "cell": lambda: keras.layers.GRUCell(2), "cells": lambda: [keras.layers.GRUCell(2)],
    "decay_rate": 0.5, "decay_steps": 10, "dims": [1], "equation": "ab,bc->ac", "factor": 1,
    "filename": "log.csv", "filepath": "best.keras", "filters": 2, "first_decay_steps": 10,
    "fn": lambda: keras.losses.mean_squared_error, "function": lambda: abs, "head_dim": 2,
    "height": 4, "height_factor": 0.1, "initial_learning_rate": 0.5,
    "inner_optimizer": lambda: keras.optimizers.SGD(), "input_dim": 3, "kernel_size": 1,
    "key_dim": 2, "layer": lambda: keras.layers.GRU(2), "layers": lambda: [keras.layers.Dense(2)],
    "max_number": 3, "n": 2, "num_bins": 3, "num_classes": 2, "num_heads": 1,
    "num_key_value_heads": 1, "num_query_heads": 1,
    "optimizer_map": lambda: {"a": keras.optimizers.SGD()}, "output_dim": 3, "output_shape": 3,
    "output_size": 2, "pool_size": 2, "precision": 0.5, "rate": 0.5, "recall": 0.5, "scale": 2.0,
    "schedule": lambda: abs, "sensitivity": 0.5, "specificity": 0.5, "stddev": 0.5,
    "target_class_ids": [1], "target_shape": [2], "units": 2, "values": [1.0, 0.5], "width": 4,
    "width_factor": 0.1,
}  # fmt: skip
"""A value for each required argument."""
ALSO_GIVEN = {
    "keras.layers.CategoryEncoding": {"num_tokens": 3},
    "keras.layers.Discretization": {"num_bins": 3},
    "keras.layers.InputLayer": {"shape": [3]},
    "keras.layers.Wrapper": {"layer": lambda: keras.layers.Dense(2)},
    "keras.layers.SpectralNormalization": {"layer": lambda: keras.layers.Dense(2)},
}
"""What Keras requires without saying so in the signature, or of another kind than elsewhere."""
OF_NO_DEFAULT = {
    "keras.layers.IntegerLookup": {"has_input_vocabulary": False},
    "keras.layers.StringLookup": {"has_input_vocabulary": False},
    "keras.layers.TextVectorization": {"has_input_vocabulary": False},
}
"""What is taken out of **kwargs with a default that is no constant."""
OF_OLD = {
    "keras.layers.InputLayer": {"input_shape": [3], "batch_input_shape": [None, 3]},
    "keras.layers.LeakyReLU": {"alpha": 0.1},
}
"""Old names that Keras takes, each in the place of a new one."""
NOT_BUILT = {
    "keras.callbacks.OrbaxCheckpoint": "needs another package",
    "keras.layers.FlaxLayer": "needs another backend",
    "keras.layers.JaxLayer": "needs another backend",
    "keras.layers.TFSMLayer": "needs a SavedModel",
    "keras.layers.TorchModuleWrapper": "needs another backend",
    "keras.optimizers.Optimizer": "a base class whose own signature shows nothing",
    "keras.optimizers.schedules.LearningRateSchedule": "a base class",
}
ANY_NAME = {"keras.metrics.MeanMetricWrapper": "hands them to the function that it wraps"}
SILENTLY_IGNORED = {
    "keras.callbacks.CallbackList": "keeps them as the training's params",
    "keras.callbacks.LambdaCallback": "makes attributes of them, of any name",
    "keras.callbacks.ReduceLROnPlateau": "drops its **kwargs",
    "keras.layers.HashedCrossing": "drops its **kwargs",
    "keras.layers.InputLayer": "drops the rest of its **kwargs",
    "keras.optimizers.LossScaleOptimizer": "drops what old versions wrote into its config",
}
"""Classes of which Keras itself lets unknown arguments pass, to no effect."""
BYGONE = {"no_such_argument", "batch_input_shape", "input_dtype", "weights", "lr"}


def classes(kind):
    """Each class of a kind once, under the first of its names."""
    found = {}
    for name in keras_index.names(kind):
        entry = keras_index.short(kind, name)
        if entry.form != "alias":
            found.setdefault(load_path(entry.path), entry)
    return found


def required(entry):
    values = {name: GIVEN[name] for name in entry.accepts.required}
    values |= ALSO_GIVEN.get(entry.path, {})
    return {name: value() if callable(value) else value for name, value in values.items()}


def taken_by_keras(found, entry, names):
    """Of some names, those that Keras does not refuse when all of them are given."""
    names = set(names)
    while names:
        try:
            found(**required(entry), **dict.fromkeys(names))
        except Exception as error:
            if "takes no arguments" in str(error):
                return set()
            refused = {name for name in names if re.search(rf"\b{name}\b", str(error))}
            if not refused:
                raise
            names -= refused
        else:
            break
    return names


@pytest.mark.usefixtures("_built_for_itself")
@pytest.mark.filterwarnings("ignore:Argument .* is deprecated")
@pytest.mark.parametrize("kind", KERAS_KINDS)
def test_arguments_are_those_that_keras_takes(kind):
    everywhere = BYGONE.union(*(entry.accepts.names for entry in classes(kind).values()))
    silent = set()
    for found, entry in classes(kind).items():
        if entry.path in NOT_BUILT or entry.accepts.any_name:
            continue
        known = set(entry.accepts.names)
        old = OF_OLD.get(entry.path, {})
        every = {**entry.accepts.defaults, **required(entry), **OF_NO_DEFAULT.get(entry.path, {})}
        own = inspect.signature(found.__init__).parameters
        every |= {name: own[name].default for name in known - set(every) - set(old)}
        assert set(every) | set(old) == known
        found(**every)
        for name, value in old.items():
            found(**{name: value})
        if taken_by_keras(found, entry, everywhere - known):
            silent.add(entry.path)
    paths = {entry.path for entry in classes(kind).values()}
    assert silent == paths & set(SILENTLY_IGNORED)


@pytest.mark.usefixtures("_built_for_itself")
def test_an_argument_that_does_nothing_but_warn_is_not_known():
    with pytest.warns(UserWarning, match="`decay` is no longer supported and will be ignored"):
        keras.optimizers.Adam(decay=0.1)
    assert "decay" not in keras_index.short("optimizer", "Adam").accepts.names


@pytest.mark.parametrize("kind", KERAS_KINDS)
def test_any_name_is_taken_only_where_keras_hands_it_further(kind):
    entries = classes(kind).values()
    open_ones = {entry.path for entry in entries if entry.accepts.any_name}
    assert open_ones == {entry.path for entry in entries if entry.path in ANY_NAME}


NEITHER = {
    "keras.metrics.Mean": None,
    "keras.metrics.MeanMetricWrapper": "down",  # that of the loss which it is given here
    "keras.metrics.Metric": None,
    "keras.metrics.Sum": None,
}
"""Metrics that are better neither higher nor lower by themselves, with Keras's own word."""
NOT_TOLD_BY_KERAS = {
    "keras.metrics.FalseNegatives": "min",
    "keras.metrics.FalsePositives": "min",
    "keras.metrics.TrueNegatives": "max",
    "keras.metrics.TruePositives": "max",
}


@pytest.mark.usefixtures("_built_for_itself")
def test_which_way_metrics_are_better():
    ours, unlike, untold = {}, {}, {}
    for found, entry in classes("metric").items():
        if "loss" in entry.kinds:
            continue
        keras_says = getattr(found(**required(entry)), "_direction", None)
        ours[entry.path] = entry.direction
        if not entry.direction:
            unlike[entry.path] = keras_says
        elif keras_says is None:
            untold[entry.path] = entry.direction
        else:
            assert (entry.path, entry.direction) == (
                entry.path,
                {"up": "max", "down": "min"}[keras_says],
            )
    assert len(ours) > 40
    assert unlike == NEITHER
    assert untold == NOT_TOLD_BY_KERAS


def test_less_of_a_loss_is_better():
    assert {entry.direction for entry in classes("loss").values()} == {"min"}
    assert keras_index.short("loss", "CosineSimilarity").direction == "min"
    assert keras_index.short("metric", "CosineSimilarity").direction == "max"
    assert {entry.direction for entry in classes("layer").values()} == {""}


@given(st.text(min_size=1))
def test_tensorflow_takes_every_scope_name(name):
    with tf.Graph().as_default(), tf.name_scope(keras_index.scope_name(name)):
        pass


def test_snake_name_is_keras_own():
    namespaces = {**vars(keras.layers), **vars(keras.losses), **vars(keras.metrics)}
    class_names = [name for name, found in namespaces.items() if inspect.isclass(found)]
    assert len(class_names) > 150
    for class_name in [*class_names, "MyNet2", "HTTPLayer", "my_Layer"]:
        made_up = type(class_name, (keras.layers.Layer,), {})().name
        assert keras_index.is_made_up(made_up, class_name), class_name
        assert made_up.startswith(keras_index.snake_name(class_name))


@pytest.mark.parametrize("name", ["species", "dense_head", "dense_"])
def test_chosen_names_are_not_made_up(name):
    assert not keras_index.is_made_up(name, "Dense")
