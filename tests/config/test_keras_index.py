"""What the index says of Keras, held against Keras itself."""

import inspect
import re
from dataclasses import replace

import keras
import pytest

from barrage_mlflow.config import keras_index, keras_scan
from barrage_mlflow.config.keras_index import KerasEntry
from barrage_mlflow.config.signatures import Accepts

LAYER = {
    "activity_regularizer": None,
    "trainable": True,
    "dtype": None,
    "autocast": True,
    "name": None,
    "input_dim": None,
    "input_shape": None,
}


def test_an_entry():
    assert keras_index.short("layer", "Dropout") == KerasEntry(
        path="layers.Dropout",
        form="class",
        kinds=("layer",),
        accepts=Accepts(
            positional=("rate", "noise_shape", "seed"),
            names=("rate", "noise_shape", "seed", *LAYER),
            required=("rate",),
            defaults={"noise_shape": None, "seed": None, **LAYER},
        ),
        name="dropout",
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("losses", KerasEntry("losses", "other")),
        ("applications.mobilenet_v2", KerasEntry("applications.mobilenet_v2", "other")),
        (
            "losses.poisson",
            KerasEntry(
                "losses.poisson", "function", accepts=Accepts.of(lambda y_true, y_pred: None)
            ),
        ),
        (
            "Sequential",
            KerasEntry(
                "Sequential",
                "class",
                ("layer", "network"),
                Accepts.of(lambda layers=None, trainable=True, name=None: None),
                "sequential",
            ),
        ),
        (
            "models.Sequential.from_config",
            KerasEntry(
                "models.Sequential.from_config",
                "function",
                accepts=Accepts.of(lambda config, custom_objects=None: None),
            ),
        ),
        ("losses.Hubr", None),
        ("losses.Huber.call", None),
        ("losses.Huber.from_config.more", None),
        ("_tf_keras.keras.losses.Huber", None),
        ("src.losses.losses.Hubr", None),
        ("src.no_such.Huber", None),
        ("", None),
    ],
)
def test_what_stands_at_a_path(path, expected):
    assert keras_index.at(path) == expected


def test_private_paths_are_looked_up_in_keras():
    huber = keras_index.at("losses.Huber")
    private = keras_index.at("src.losses.losses.Huber")
    assert private == replace(huber, path="src.losses.losses.Huber")
    assert keras_index.load(private) is keras_index.load(huber) is keras.losses.Huber
    assert "Huber" in keras_index.members("src.losses.losses")
    assert keras_index.members("src.no_such") == ()


def test_members():
    assert keras_index.members("optimizers.schedules") == (
        "CosineDecay",
        "CosineDecayRestarts",
        "ExponentialDecay",
        "InverseTimeDecay",
        "LearningRateSchedule",
        "PiecewiseConstantDecay",
        "PolynomialDecay",
        "deserialize",
        "serialize",
    )
    assert {"layers", "Sequential"} < set(keras_index.members(""))
    assert "src" not in keras_index.members("")
    assert keras_index.members("losses.Huber") == keras_index.members("no_such") == ()


def test_names():
    assert keras_index.names("schedule") == (
        "CosineDecay",
        "CosineDecayRestarts",
        "ExponentialDecay",
        "InverseTimeDecay",
        "LearningRateSchedule",
        "PiecewiseConstantDecay",
        "PolynomialDecay",
    )
    assert {"MeanSquaredError", "mean_squared_error", "mse", "MSE", "crossentropy", "ce"} < set(
        keras_index.names("loss")
    )


def test_every_path_leads_to_what_is_described():
    index = keras_scan.scan()
    for path in index["paths"]:
        entry, found = keras_index.at(path), keras_scan.find(path)
        forms = {"class": inspect.isclass, "function": inspect.isroutine, "other": inspect.ismodule}
        assert [form for form, holds in forms.items() if holds(found)] == [entry.form]
        assert entry.kinds == tuple(
            kind
            for kind, bases in keras_index.BASES.items()
            if entry.form == "class" and issubclass(found, tuple(map(keras_scan.find, bases)))
        )


@pytest.fixture
def _built_for_itself():
    """Other tests count on the first name of a class that Keras numbers in each process."""
    yield
    keras.utils.clear_session()


KINDS = tuple(keras_index.NAMESPACES)
GIVEN = {
    "activation": "relu",
    "axes": 1,
    "backup_dir": "backup",
    "boundaries": [1],
    "cell": lambda: keras.layers.GRUCell(2),
    "cells": lambda: [keras.layers.GRUCell(2)],
    "decay_rate": 0.5,
    "decay_steps": 10,
    "dims": [1],
    "equation": "ab,bc->ac",
    "factor": 1,
    "filename": "log.csv",
    "filepath": "best.keras",
    "filters": 2,
    "first_decay_steps": 10,
    "fn": lambda: keras.losses.mean_squared_error,
    "function": lambda: abs,
    "head_dim": 2,
    "height": 4,
    "height_factor": 0.1,
    "initial_learning_rate": 0.5,
    "inner_optimizer": lambda: keras.optimizers.SGD(),
    "input_dim": 3,
    "kernel_size": 1,
    "key_dim": 2,
    "layer": lambda: keras.layers.GRU(2),
    "layers": lambda: [keras.layers.Dense(2)],
    "max_number": 3,
    "n": 2,
    "num_bins": 3,
    "num_classes": 2,
    "num_heads": 1,
    "num_key_value_heads": 1,
    "num_query_heads": 1,
    "optimizer_map": lambda: {"a": keras.optimizers.SGD()},
    "output_dim": 3,
    "output_shape": 3,
    "output_size": 2,
    "pool_size": 2,
    "precision": 0.5,
    "rate": 0.5,
    "recall": 0.5,
    "scale": 2.0,
    "schedule": lambda: abs,
    "sensitivity": 0.5,
    "specificity": 0.5,
    "stddev": 0.5,
    "target_class_ids": [1],
    "target_shape": [2],
    "units": 2,
    "values": [1.0, 0.5],
    "width": 4,
    "width_factor": 0.1,
}
"""A value for each required argument."""
ALSO_GIVEN = {
    "layers.CategoryEncoding": {"num_tokens": 3},
    "layers.Discretization": {"num_bins": 3},
    "layers.InputLayer": {"shape": [3]},
    "layers.Wrapper": {"layer": lambda: keras.layers.Dense(2)},
    "layers.SpectralNormalization": {"layer": lambda: keras.layers.Dense(2)},
}
"""What Keras requires without saying so in the signature, or of another kind than elsewhere."""
OF_NO_DEFAULT = {
    "layers.IntegerLookup": {"has_input_vocabulary": False},
    "layers.StringLookup": {"has_input_vocabulary": False},
    "layers.TextVectorization": {"has_input_vocabulary": False},
}
"""What is taken out of **kwargs with a default that is no constant."""
OF_OLD = {
    "layers.InputLayer": {"input_shape": [3], "batch_input_shape": [None, 3]},
    "layers.LeakyReLU": {"alpha": 0.1},
}
"""Old names that Keras takes, each in the place of a new one."""
NOT_BUILT = {
    "callbacks.OrbaxCheckpoint": "needs another package",
    "layers.FlaxLayer": "needs another backend",
    "layers.JaxLayer": "needs another backend",
    "layers.TFSMLayer": "needs a SavedModel",
    "layers.TorchModuleWrapper": "needs another backend",
    "optimizers.Optimizer": "a base class whose own signature tells nothing",
    "optimizers.schedules.LearningRateSchedule": "a base class",
}
ANY_NAME = {"metrics.MeanMetricWrapper": "hands them to the function that it wraps"}
SILENTLY_IGNORED = {
    "callbacks.CallbackList": "keeps them as the training's params",
    "callbacks.LambdaCallback": "makes attributes of them, of any name",
    "callbacks.ReduceLROnPlateau": "drops its **kwargs",
    "layers.HashedCrossing": "drops its **kwargs",
    "layers.InputLayer": "drops the rest of its **kwargs",
    "optimizers.LossScaleOptimizer": "drops what old versions wrote into its config",
}
"""Classes of which Keras itself lets unknown arguments pass, to no effect."""
BYGONE = {"no_such_argument", "batch_input_shape", "input_dtype", "weights", "lr"}


def classes(kind):
    """Each class of a kind once, under the first of its names."""
    found = {}
    for name in keras_index.names(kind):
        entry = keras_index.short(kind, name)
        if entry is not None:
            found.setdefault(keras_index.load(entry), entry)
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
            refused = {name for name in names if re.search(rf"\b{name}\b", str(error))}
            if not refused:
                raise
            names -= refused
        else:
            break
    return names


@pytest.mark.usefixtures("_built_for_itself")
@pytest.mark.filterwarnings("ignore:Argument .* is deprecated")
@pytest.mark.parametrize("kind", KINDS)
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


def test_an_unknown_param_of_a_layer_is_found():
    problems = keras_index.short("layer", "Dense").accepts.problems(["unit", "nam"])
    assert [str(problem) for problem in problems] == [
        "unknown param 'unit'; did you mean 'units'?",
        "unknown param 'nam'; did you mean 'name'?",
    ]


@pytest.mark.usefixtures("_built_for_itself")
def test_an_argument_that_does_nothing_but_warn_is_not_known():
    with pytest.warns(UserWarning, match="`decay` is no longer supported and will be ignored"):
        keras.optimizers.Adam(decay=0.1)
    assert "decay" not in keras_index.short("optimizer", "Adam").accepts.names


@pytest.mark.parametrize("kind", KINDS)
def test_any_name_is_taken_only_where_keras_hands_it_further(kind):
    entries = classes(kind).values()
    open_ones = {entry.path for entry in entries if entry.accepts.any_name}
    assert open_ones == {entry.path for entry in entries if entry.path in ANY_NAME}


def test_applications_take_no_other_names():
    paths = [path for path in keras_scan.scan()["paths"] if path.startswith("applications.")]
    entries = [keras_index.at(path) for path in paths]
    networks = [e for e in entries if e.form == "function" and "weights" in e.accepts.names]
    assert len(networks) > 50
    assert not [entry.path for entry in networks if entry.accepts.any_name]


NEITHER = {
    "metrics.Mean": None,
    "metrics.MeanMetricWrapper": "down",  # that of the loss which it is given here
    "metrics.Metric": None,
    "metrics.Sum": None,
}
"""Metrics that are better neither higher nor lower by themselves, with what Keras says."""
NOT_TOLD_BY_KERAS = {
    "metrics.FalseNegatives": "min",
    "metrics.FalsePositives": "min",
    "metrics.TrueNegatives": "max",
    "metrics.TruePositives": "max",
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
