"""Encoders of features: what makes one vector of a text, an image or a series.

Each takes the feature, as ``feature_network`` gets it, and its input. Its other params are those
that a config may give in ``encoders``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from barrage_mlflow.config.import_targets import Accepts
from barrage_mlflow.config.keras_index import scope_name
from barrage_mlflow.config.names import did_you_mean, show_names
from barrage_mlflow.errors import ComponentError
from barrage_mlflow.model.layers import batch_norm

Feature = Mapping[str, Any]

_SPREAD = 8191
"""Makes one number of two neighbours' codes; within int32 up to 262,000 codes."""
_PAIR_SCALE = 0.3
"""Of pairs: rarer than words, they would be learnt by heart before words are learnt."""


def encode(feature: Feature, x: Any, block: Mapping[str, Any], path: str) -> Any:
    """Makes one vector of each text, image or series.

    Args:
        feature: with ``type``, and what the encoder reads of it.
        x: its input, ``(batch, ...)``.
        block: ``encoder``, a name, and the encoder's params; the first of the type's by default.
        path: JSON path of the block, for messages.

    Returns:
        ``(batch, n)``.

    Raises:
        ComponentError: there is no such encoder, or it does not take such params.

    Example:
        >>> load = {"type": "series", "shape": [28, 2]}
        >>> encode(load, keras.Input((28, 2)), {"encoder": "resnet", "filters": [6, 8]}, "$").shape
        (None, 8)
    """
    params = dict(block)
    known = ENCODERS[feature["type"]]
    name = params.pop("encoder", next(iter(known)))
    given: tuple[Any, ...] = (feature, x)
    function = known.get(name)
    of_keras = callable(getattr(keras.applications, str(name), None))
    if feature["type"] == "image" and of_keras:
        function, given = application, (feature, x, name)
    if function is None:
        remedy = did_you_mean(name, known) or "choose one of these"
        also = " or a name of keras.applications" if feature["type"] == "image" else ""
        raise ComponentError(
            f"{path}.encoder: expected an encoder of {feature['type']} "
            f"({show_names(known)}{also}), got {name!a}; {remedy}"
        )
    problems = Accepts.of(function).problems(params, ("feature", "x", "name")[: len(given)])
    if problems:
        raise ComponentError(f"{path}: {'; '.join(map(str, problems))}")
    return function(*given, **params)


def pooled(
    feature: Feature, x: Any, units: int = 32, pairs: int = 65_536, dropout: float = 0.5
) -> Any:
    """Means and maxima of the words' vectors, and means of those of neighbouring pairs.

    Joulin et al., "Bag of Tricks for Efficient Text Classification" (2017), where pairs share a
    table by hash too.

    Args:
        feature: a text, with ``size``.
        x: ``(batch, length) int32``, 0 where the text has ended.
        units: width of a vector.
        pairs: rows in the table of pairs.
        dropout: of words and pairs, and of what comes out.

    Returns:
        ``(batch, 3 * units)``.

    Example:
        >>> pooled({"size": 50}, keras.Input((9,), dtype="int32"), units=4).shape
        (None, 12)
    """
    words = layers.Embedding(feature["size"], units)(x)
    first, second = x[:, :-1], x[:, 1:]
    # Zeros, so that a pair that training never had changes nothing.
    neighbours = layers.Embedding(pairs, units, "zeros")(ops.mod(first * _SPREAD + second, pairs))
    found = [
        _mean(words, x != 0, dropout),
        _PAIR_SCALE * _mean(neighbours, (first != 0) & (second != 0), dropout),
        ops.max(ops.relu(words) * _weights(words, x != 0), axis=1),
    ]
    return layers.Dropout(dropout)(ops.concatenate(found, axis=-1))


def convolved(
    feature: Feature,
    x: Any,
    units: int = 64,
    filters: int = 100,
    widths: Sequence[int] = (3, 4, 5),
    dropout: float = 0.5,
) -> Any:
    """Convolutions of several widths over the words, of each the maximum.

    Kim, "Convolutional Neural Networks for Sentence Classification" (2014).

    Args:
        feature: a text, with ``size``.
        x: ``(batch, length) int32``, 0 where the text has ended.
        units: width of a word's vector.
        filters: of each width.
        widths: in words.
        dropout: of what comes out.

    Returns:
        ``(batch, filters * len(widths))``.

    Example:
        >>> convolved({"size": 50}, keras.Input((9,), dtype="int32"), filters=4).shape
        (None, 12)
    """
    words = layers.Embedding(feature["size"], units)(x)
    words = words * _weights(words, x != 0)
    found = [
        layers.Conv1D(filters, width, padding="same", activation="relu")(words) for width in widths
    ]
    most = [layers.GlobalMaxPooling1D()(each) for each in found]
    return layers.Dropout(dropout)(ops.concatenate(most, axis=-1))


def convnet(
    feature: Feature, x: Any, filters: Sequence[int] = (32, 64, 128), dropout: float = 0.2
) -> Any:
    """A small convolutional network: two convolutions of 3 × 3, then half the size, and again.

    Args:
        feature: an image.
        x: ``(batch, height, width, channels) uint8``.
        filters: of each pair of convolutions.
        dropout: of what comes out.

    Returns:
        ``(batch, filters)``, the last of them.

    Example:
        >>> convnet({}, keras.Input((8, 8, 1), dtype="uint8"), filters=[4, 6]).shape
        (None, 6)
    """
    x = ops.cast(x, "float32") / 255.0
    for place, count in enumerate(filters):
        if place and min(x.shape[1:3]) > 1:
            x = layers.MaxPooling2D()(x)
        for _ in range(2):
            x = layers.Conv2D(count, 3, padding="same", use_bias=False)(x)
            x = ops.relu(batch_norm()(x))
    return layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))


def application(
    feature: Feature, x: Any, name: str, weights: str | None = None, dropout: float = 0.2
) -> Any:
    """A network of ``keras.applications`` without its top.

    Args:
        feature: an image.
        x: ``(batch, height, width, channels) uint8``; one channel counts as three.
        name: of the network, such as ``"MobileNetV2"``.
        weights: file of weights without the top; random ones if left out.
        dropout: of what comes out.

    Returns:
        ``(batch, n)``.

    Example:
        >>> x = keras.Input((32, 32, 3), dtype="uint8")
        >>> application({"name": "photo"}, x, "MobileNetV2").shape
        (None, 1280)
    """
    make = getattr(keras.applications, name)
    x = ops.cast(x, "float32")
    if x.shape[-1] == 1:
        x = ops.repeat(x, 3, axis=-1)
    x = inspect.getmodule(make).preprocess_input(x)  # type: ignore[union-attr]
    network = make(include_top=False, weights=weights, input_shape=x.shape[1:], pooling="avg")
    # Those of two features are to differ in their names.
    network.name = scope_name(f"{network.name}.{feature['name']}")
    return layers.Dropout(dropout)(network(x))


def fcn(feature: Feature, x: Any, filters: Sequence[int] = (128, 256, 128)) -> Any:
    """Three convolutions over time and their mean over time.

    Row "FCN" in Wang et al., "Time Series Classification from Scratch with Deep Neural Networks"
    (2017): accuracy 1.000 on GunPoint.

    Args:
        feature: a series; with ``mask``, its last channel is 1 where there is a number.
        x: ``(batch, time, channels)``.
        filters: of the convolutions of width 8, 5 and 3.

    Returns:
        ``(batch, filters)``, the last of them.

    Example:
        >>> fcn({}, keras.Input((28, 2)), filters=[4, 4, 6]).shape
        (None, 6)
    """
    return _over_time(feature, x, ops.relu(_convolutions(x, filters)))


def resnet(feature: Feature, x: Any, filters: Sequence[int] = (64, 128, 128)) -> Any:
    """Residual blocks of three convolutions over time, and their mean over time.

    Row "ResNet" in Wang et al., "Time Series Classification from Scratch with Deep Neural Networks"
    (2017): accuracy 0.993 on GunPoint.

    Args:
        feature: a series; with ``mask``, its last channel is 1 where there is a number.
        x: ``(batch, time, channels)``.
        filters: of each block.

    Returns:
        ``(batch, filters)``, the last of them.

    Example:
        >>> resnet({}, keras.Input((28, 2)), filters=[4, 6]).shape
        (None, 6)
    """
    series = x
    for count in filters:
        inner = _convolutions(x, [count] * len(_WIDTHS))
        straight = batch_norm()(x) if x.shape[-1] == count else _normed(x, count, 1)
        x = ops.relu(inner + straight)
    return _over_time(feature, series, x)


def flat(feature: Feature, x: Any) -> Any:
    """The numbers side by side, where each place in time has a meaning of its own: of forecasts.

    Args:
        feature: a series.
        x: ``(batch, time, channels)``.

    Returns:
        ``(batch, time * channels)``.

    Example:
        >>> flat({}, keras.Input((28, 2))).shape
        (None, 56)
    """
    return layers.Flatten()(x)


def relative(feature: Feature, x: Any) -> tuple[Any, Any]:
    """Scales each series by its own mean and deviation.

    Args:
        feature: a series, with ``means``.
        x: ``(batch, time, channels)``; the last channel tells where there are numbers, if it has
            one more than means.

    Returns:
        The same, scaled; and the mean and deviation of the first channel, ``(batch, 2)``.

    Example:
        >>> x, level = relative({"means": [0.0]}, ops.convert_to_tensor([[[4.0], [8.0]]]))
        >>> x.numpy().round(3).ravel().tolist(), level.numpy().round(3).tolist()
        ([-1.0, 1.0], [[6.0, 2.0]])
    """
    count = len(feature["means"])
    values, there = x[..., :count], x[..., count:]
    weights = there if count < x.shape[-1] else ops.ones_like(x[..., :1])
    total = ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1)
    mean = ops.sum(values * weights, axis=1, keepdims=True) / total
    apart = (values - mean) * weights
    # Of a series that never changes, the least that the deviation can be.
    spread = ops.sqrt(ops.sum(ops.square(apart), axis=1, keepdims=True) / total + _LEAST**2)
    level = ops.concatenate([mean[:, 0, :1], spread[:, 0, :1]], axis=-1)
    return ops.concatenate([apart / spread, there], axis=-1), level


def absolute(score: Any, target: Feature, feature: Feature, level: Any) -> Any:
    """Scales what comes next in a series back to where the series is.

    Args:
        score: ``(batch, ..., n)``, in deviations from the series' mean.
        target: with ``means`` and ``deviations``.
        feature: the series, likewise.
        level: as :func:`relative` gives it.

    Returns:
        ``(batch, ..., n) float32``, scaled as the target is.

    Example:
        >>> level, scale = ops.convert_to_tensor([[6.0, 2.0]]), {"means": [1.0], "deviations": [2]}
        >>> absolute(ops.ones((1, 3)), scale, scale, level).numpy().tolist()
        [[8.0, 8.0, 8.0]]
    """
    beside = [-1, *[1] * (len(score.shape) - 1)]
    mean, spread = (ops.reshape(level[:, place], beside) for place in (0, 1))
    of, to = feature["deviations"][0], target["deviations"][0]
    own = (score * spread + mean) * of + feature["means"][0]
    return (own - target["means"][0]) / to


_LEAST = 1e-3
"""The least deviation of a series, in those of all."""

_WIDTHS = (8, 5, 3)
"""Of the convolutions of Wang et al."""

ENCODERS: dict[str, dict[str, Callable[..., Any]]] = {
    "text": {"pooled": pooled, "convolved": convolved},
    "image": {"convnet": convnet},
    "series": {"fcn": fcn, "resnet": resnet, "flat": flat},
}
"""The encoders of each type; the first is its default."""


def _normed(x: Any, filters: int, width: int) -> Any:
    return batch_norm()(layers.Conv1D(filters, width, padding="same")(x))


def _convolutions(x: Any, filters: Sequence[int]) -> Any:
    for place, (count, width) in enumerate(zip(filters, _WIDTHS, strict=True)):
        x = _normed(ops.relu(x) if place else x, count, width)
    return x


def _over_time(feature: Feature, series: Any, x: Any) -> Any:
    """The mean over time: where the last channel says so, over places with a number alone."""
    if not feature.get("mask"):
        return layers.GlobalAveragePooling1D()(x)
    return _mean(x, series[..., -1] > 0, dropout=0)


def _weights(vectors: Any, counts: Any) -> Any:
    """1 where a place counts and 0 where not, ``(batch, length, 1)``, in the vectors' dtype."""
    return ops.expand_dims(ops.cast(counts, vectors.dtype), -1)


def _mean(vectors: Any, counts: Any, dropout: float) -> Any:
    weights = layers.Dropout(dropout)(_weights(vectors, counts))
    # Dropped ones are counted too: Dropout has made up for them already.
    total = ops.maximum(ops.sum(_weights(vectors, counts), axis=1), 1)
    return ops.sum(vectors * weights, axis=1) / total
