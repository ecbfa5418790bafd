"""The network of features: what goes in, what comes out, what it learns."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from feature_parts import (
    ENCODERS,
    FEATURES,
    SIZES,
    TARGETS,
    arrays,
    codes_alone,
    numbers_alone,
)
from golden_messages import messages
from small import TRAIN, VALIDATION, small_config

from barrage_mlflow import Scorer, train
from barrage_mlflow.config import find_faults, read_config
from barrage_mlflow.model import feature_network
from barrage_mlflow.model.layers import ScaledCopies
from barrage_mlflow.training.steps import train_step

NUMBER = [{"name": "y", "type": "number"}]


@pytest.mark.parametrize(
    ("body", "numbers"),
    [
        ("mlp", None),
        ("mlp", "piecewise_linear"),
        ("resnet", "periodic"),
        ("tabm", None),
        ("ft_transformer", None),
        ("ft_transformer", "piecewise_linear"),
    ],
)
def test_every_type_goes_in_and_every_target_comes_out(body, numbers):
    given = {"body": body, "numbers": numbers, "units": (8, 8), "heads": 2, "members": 3}
    network = feature_network(FEATURES, TARGETS, encoders=ENCODERS, **given)
    x = arrays()
    specs = {name: (tuple(t.shape), t.dtype) for name, t in network.input.items()}
    assert specs == {n: ((None, *each.shape[1:]), str(each.dtype)) for n, each in x.items()}
    scores = network(x)
    assert {name: tuple(each.shape) for name, each in scores.items()} == {
        name: (5, size) for name, size in SIZES.items()
    }
    np.testing.assert_allclose(np.sum(scores["kind"], axis=-1), 1, rtol=1e-5)
    likely = np.concatenate([scores["dropout"], scores["colours"]], axis=-1)
    assert likely.min() > 0
    assert likely.max() < 1
    with tf.GradientTape() as tape:
        said = network(x, training=True)
        loss = sum(tf.reduce_sum(tf.square(each - 0.3)) for each in said.values())
    members = (3,) if body == "tabm" else ()
    assert {name: tuple(each.shape) for name, each in said.items()} == {
        name: (5, *members, size) for name, size in SIZES.items()
    }
    weights = network.trainable_weights
    gradients = tape.gradient(loss, weights)
    still = [w.path for w, g in zip(weights, gradients, strict=True) if not np.any(as_array(g))]
    assert still == []


def as_array(gradient):
    return None if gradient is None else tf.convert_to_tensor(gradient).numpy()


@pytest.mark.parametrize("encoding", ["one_hot", "embedding"])
def test_a_category_that_training_never_saw_adds_nothing(encoding):
    network = feature_network(codes_alone(5, 1, 30, encoding=encoding), NUMBER, units=())
    x = {"codes": np.array([[1, 0, 29], [0, 0, 0], [4, 0, 0]], "int32")}
    fitted(network, x, {"y": np.array([[3.0], [-2.0], [1.0]], "float32")}, steps=30)
    scores = network(x)["y"].numpy()[:, 0]
    assert scores[1] == network.trainable_weights[-1].numpy()[0]
    assert len({*scores}) == 3


def test_codes_are_told_apart_by_their_column():
    network = feature_network(codes_alone(3, 3), NUMBER, units=())
    _, bias = network.get_weights()
    network.set_weights([np.arange(1, 5, dtype="float32")[:, None], bias])
    codes = np.array([[0, 0], [1, 0], [2, 0], [0, 1], [0, 2], [2, 2]], "int32")
    assert network({"codes": codes})["y"].numpy()[:, 0].tolist() == [0, 1, 2, 3, 4, 6]


def test_piecewise_linear_is_the_way_through_the_bins():
    number = {**numbers_alone(1)[0], "edges": [-1, 0, 2]}
    short = {**numbers_alone(2)[1], "edges": [0, 1]}
    given = {"numbers": "piecewise_linear", "embedding": 1, "units": ()}
    network = feature_network([number, short], NUMBER, **given)
    kernel, _, *_ = network.get_weights()
    assert kernel.shape == (2, 3, 1)
    assert not kernel[:, :2].any()  # the bins; the number itself is the last
    assert kernel[:, 2].all()
    kernel = np.array([[[1], [1], [0]], [[1], [0], [0]]], "float32")
    network.set_weights([kernel, np.full((2, 1), 9.0), np.ones((2, 1)), np.zeros(1)])
    x = np.array([[-3, 0], [-1, 0], [-0.5, 0], [1, 0.25], [4, 2]], "float32")
    scores = network({"numbers": x})["y"].numpy()[:, 0] - 18
    np.testing.assert_allclose(scores, [-2, 0, 0.5, 1.75, 5], rtol=1e-6)


def test_members_begin_with_one_scale_for_each_embedded_number_and_category():
    number, missing, *_ = FEATURES
    features = [number, missing, *FEATURES[4:6]]
    given = {"body": "tabm", "members": 40, "embedding": 3, "units": (4,)}

    def first_scales(numbers):
        network = feature_network(features, NUMBER, numbers=numbers, **given)
        (layer,) = [each for each in network.layers if isinstance(each, ScaledCopies)]
        return layer.scales.numpy()

    # "cut" has 6 columns, then come the two numbers, then "shop".
    embedded = first_scales("piecewise_linear")
    assert embedded.shape == (40, 6 + 3 + 3 + 3)
    groups = np.split(embedded, [6, 9, 12], axis=1)
    assert all((group == group[:, :1]).all() for group in groups)
    alone = np.stack([group[:, 0] for group in groups])
    assert len({*alone.ravel().tolist()}) == 4 * 40
    assert 0.7 < alone.std() < 1.3
    assert {*first_scales(None).ravel().tolist()} == {-1.0, 1.0}


def test_tabm_takes_piecewise_linear_numbers_below_zero_too():
    given = {"numbers": "piecewise_linear", "embedding": 64, "units": (), "members": 2}
    x = {"numbers": np.linspace(-3, 3, 9, dtype="float32")[:, None]}

    def embedded(body):
        network = feature_network(numbers_alone(1), NUMBER, body=body, **given)
        (layer,) = [each for each in network.layers if each.name.startswith("einsum_dense")][:1]
        return keras.Model(network.input, layer.output).predict(x, verbose=0)

    assert embedded("tabm").min() < 0
    assert embedded("mlp").min() == 0


def fitted(network, x, y, steps):
    loss = keras.losses.MeanSquaredError()
    network.compile(keras.optimizers.Adam(0.01), {"y": loss})
    data = tf.nest.map_structure(tf.constant, (x, y))
    step = tf.function(lambda: train_step(network, data)["loss"], autograph=False)
    return [float(step()) for _ in range(steps)]


@pytest.mark.parametrize("body", ["mlp", "resnet", "tabm", "ft_transformer"])
def test_every_body_learns_what_no_line_parts(body):
    keras.utils.set_random_seed(1)
    x = np.random.default_rng(0).uniform(-2, 2, (256, 2)).astype("float32")
    y = (x.prod(axis=1, keepdims=True) > 0).astype("float32")
    given = {"body": body, "units": (16, 16), "heads": 2, "members": 4, "dropout": 0.0}
    network = feature_network(numbers_alone(), [{"name": "y", "type": "truth"}], **given)
    fitted(network, {"numbers": x}, {"y": y}, steps=100)
    assert np.mean((network({"numbers": x})["y"].numpy() > 0.5) == y) > 0.95


def test_one_seed_makes_one_network():
    def scores():
        keras.utils.set_random_seed(5)
        given = {"body": "tabm", "numbers": "periodic", "members": 3}
        network = feature_network(FEATURES, TARGETS, encoders=ENCODERS, **given)
        return [network(arrays(), training=t)["price/eur"].numpy() for t in (False, True)]

    np.testing.assert_equal(scores(), scores())


def test_a_training_packages_the_mean_of_the_members(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    params = {
        "features": [{**each, "edges": [-2, 0, 2]} for each in numbers_alone()],
        "targets": [{"name": "label", "type": "category", "size": 2}],
        "body": "tabm",
        "numbers": "piecewise_linear",
        "members": 4,
        "units": [16],
    }
    config = small_config(
        dataset__loader__params={"inputs": {"numbers": ["a", "b"]}, "outputs": {"label": "label"}},
        model__network={"import": "barrage.model.feature_network", "params": params},
        solver__epochs=8,
        solver__optimizer={"import": "Adam", "learning_rate": 0.02},
    )
    result = train(config, TRAIN, VALIDATION, artifact_dir=tmp_path / "out")
    scores = Scorer.load(result.artifact_dir).score(VALIDATION)["label"]
    assert scores.shape == (20, 2)
    assert np.mean(scores.argmax(axis=1) == VALIDATION["label"]) > 0.85


def test_check_knows_the_params():
    params = {"features": [], "targets": [], "body": "mpl", "units": [8.5], "encodrs": {}}
    config = small_config(model__network={"import": "feature_network", "params": params})
    assert [str(fault).partition(": ")[2] for fault in find_faults(read_config(config))] == [
        'expected "mlp" or "resnet" or "ft_transformer" or "tabm", got "mpl"; did you mean "mlp"?',
        "expected an integer, got 8.5",
        "unknown param 'encodrs'; did you mean 'encoders'?",
    ]


def network(**given):
    return feature_network(**{"features": FEATURES, "targets": TARGETS, **given})


FAULTS = {
    "no features": lambda: network(features=[]),
    "a feature of no type": lambda: network(features=[{**FEATURES[0], "type": "numbr"}]),
    "a target of no type": lambda: network(targets=[{"name": "y", "type": "text"}]),
    "blocks of two widths": lambda: network(body="resnet", units=(8, 16)),
    "no blocks": lambda: network(body="ft_transformer", units=()),
    "fewer units than heads": lambda: network(body="ft_transformer", units=(4, 4)),
    "a body of no name": lambda: network(body="mpl"),
    "numbers of no sort": lambda: network(numbers=3),
    "an encoder for a feature that has none": lambda: network(encoders={"lod": {}}),
    "an encoder of another type": lambda: network(encoders={"load": {"encoder": "pooled"}}),
    "a mistyped encoder": lambda: network(encoders={"photo": {"encoder": "convent"}}),
    "params that an encoder does not take": lambda: network(encoders={"text": {"unit": 3}}),
    "a network of Keras with another's name": lambda: network(
        encoders={"image": {"encoder": "MobileNetV2", "name": "ResNet50"}}
    ),
}


def test_an_encoder_by_type_is_for_that_type_whatever_features_are_called():
    photo = next(each for each in FEATURES if each["type"] == "image")
    encoders = {"text": {"encoder": "convolved"}, "image": {"filters": [5]}}
    made = network(features=[{**photo, "name": "text"}], encoders=encoders)
    assert [each.filters for each in made.layers if isinstance(each, keras.layers.Conv2D)] == [5, 5]


def test_what_is_no_network():
    golden = Path(__file__).with_name("golden_features.txt")
    assert messages(FAULTS) == golden.read_text("utf-8")
