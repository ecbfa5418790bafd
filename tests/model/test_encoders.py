"""Encoders of texts, images and series."""

import keras
import numpy as np
import pytest

from barrage_mlflow.model import encoders
from barrage_mlflow.model.encoders import encode, relative

RNG = np.random.default_rng(2)
TEXT = {"name": "note", "type": "text", "length": 6, "size": 20}
IMAGE = {"name": "photo", "type": "image", "shape": [32, 32, 1]}


def encoder(feature, shape, dtype, **block):
    x = keras.Input(shape, dtype=dtype)
    return keras.Model(x, encode(feature, x, block, "$"))


@pytest.mark.parametrize("name", ["pooled", "convolved"])
def test_padding_says_nothing(name):
    network = encoder(TEXT, (6,), "int32", encoder=name)
    pairs = [w for w in network.weights if w.shape == (65_536, 32)]
    for weights in pairs:
        weights.assign(RNG.normal(size=weights.shape))
    short = np.array([[3, 4, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], "int32")
    before = network(short).numpy()
    table = next(w for w in network.weights if w.shape[0] == 20)
    table.assign(np.concatenate([RNG.normal(size=(1, table.shape[1])), table.numpy()[1:]]))
    np.testing.assert_array_equal(network(short).numpy(), before)
    assert np.isfinite(before).all()


def test_the_order_of_words_is_seen_by_pairs():
    network = encoder(TEXT, (6,), "int32")
    texts = np.array([[3, 4, 5, 0, 0, 0], [5, 4, 3, 0, 0, 0]], "int32")
    one, other = network(texts).numpy()
    np.testing.assert_allclose(one, other, rtol=1e-5)  # pairs begin as zeros
    pairs = next(w for w in network.weights if w.shape == (65_536, 32))
    pairs.assign(RNG.normal(size=pairs.shape))
    one, other = network(texts).numpy()
    assert not np.allclose(one, other)


def test_a_network_of_keras_takes_a_grey_photo_and_weights_from_a_file(tmp_path):
    name = "MobileNetV2"
    twice = [encoder({**IMAGE, "name": n}, (32, 32, 1), "uint8", encoder=name) for n in "ab"]
    x = keras.Input((32, 32, 1), dtype="uint8")
    both = keras.Model(x, [each(x) for each in twice])
    assert [tuple(each.shape) for each in both.outputs] == [(None, 1280)] * 2
    inner = next(each for each in twice[0].layers if isinstance(each, keras.Model))
    file = tmp_path / "top.weights.h5"
    inner.save_weights(file)
    again = encoder(IMAGE, (32, 32, 1), "uint8", encoder=name, weights=str(file))
    photos = RNG.integers(0, 256, (2, 32, 32, 1)).astype("uint8")
    np.testing.assert_allclose(again(photos), twice[0](photos), rtol=1e-5)


@pytest.mark.parametrize("name", ["fcn", "resnet"])
def test_series_are_summed_up_whatever_their_length(name):
    for time in (2, 12):
        feature = {"name": "load", "type": "series", "shape": [time, 2]}
        network = encoder(feature, (time, 2), "float32", encoder=name, filters=[4, 4, 6])
        assert network(RNG.normal(size=(3, time, 2)).astype("float32")).shape == (3, 6)


@pytest.mark.parametrize("name", ["fcn", "resnet"])
def test_what_is_put_before_a_short_series_says_nothing(name, monkeypatch):
    monkeypatch.setattr(encoders, "_WIDTHS", (1, 1, 1))  # wider ones see a zero at the border
    feature = {"name": "load", "type": "series", "mask": True}
    short, long = (
        encoder(feature, (time, 2), "float32", encoder=name, filters=[4, 4, 6]) for time in (8, 16)
    )
    long.set_weights([RNG.normal(size=each.shape) ** 2 for each in long.get_weights()])
    short.set_weights(long.get_weights())
    series = np.stack([RNG.normal(size=(3, 8)), np.ones((3, 8))], axis=-1).astype("float32")
    padded = np.concatenate([np.zeros_like(series), series], axis=1)
    np.testing.assert_allclose(long(padded), short(series), rtol=1e-5)
    assert not long(np.zeros_like(padded)).numpy().any()  # of no number at all


def test_a_gap_in_a_series_is_at_its_own_mean():
    series = np.array([[[4, 1], [0, 0], [8, 1]]], "float32")
    scaled, level = relative({"means": [50.0]}, series)
    np.testing.assert_allclose(scaled, [[[-1, 1], [0, 0], [1, 1]]], rtol=1e-5)
    np.testing.assert_allclose(level, [[6, 2]], rtol=1e-5)
