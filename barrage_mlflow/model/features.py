"""A network for features of many types: inputs, encoders, a body, a head for each target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from barrage_mlflow.config.features import NEXT
from barrage_mlflow.config.keras_index import scope_name
from barrage_mlflow.config.names import did_you_mean, show_names
from barrage_mlflow.errors import ComponentError
from barrage_mlflow.model import bodies
from barrage_mlflow.model.dict_network import DictNetwork
from barrage_mlflow.model.encoders import ENCODERS, Feature, absolute, encode, relative
from barrage_mlflow.model.layers import (
    MeanOfMembers,
    ScaledCopies,
    in_groups,
    random_signs,
    uniform,
)

Features = Sequence[Feature]
ByName = Mapping[str, Any]

_PATH = "$.model.network.params"
_COLUMNS = ("number", "truth", "datetime")
"""The types that are columns of one matrix of numbers."""
_BODIES = ("mlp", "resnet", "ft_transformer", "tabm")
_NUMBERS: tuple[Any, ...] = (None, "piecewise_linear", "periodic")
_ACTIVATIONS = {
    "number": None,
    "series": None,
    "category": "softmax",
    "truth": "sigmoid",
    "multi_category": "sigmoid",
}
_FREQUENCIES = 48
"""For each number of ``periodic``, as in its authors' package."""
_FREQUENCY_SCALE = 0.3
"""Standard deviation of the first frequencies; on California Housing 0.3 was better than 0.1."""


def feature_network(
    features: Sequence[Mapping[str, Any]],
    targets: Sequence[Mapping[str, Any]],
    body: Literal["mlp", "resnet", "ft_transformer", "tabm"] = "mlp",
    units: Sequence[int] = (256, 256),
    dropout: float = 0.1,
    numbers: Literal["piecewise_linear", "periodic"] | None = None,
    embedding: int = 16,
    members: int = 32,
    heads: int = 8,
    encoders: Mapping[str, Mapping[str, Any]] | None = None,
) -> keras.Model:
    """Builds a network for features of any types, with one output for each target.

    Outputs are probabilities where the target is a category, a truth or several categories. A
    category that was never seen in training, code 0, adds nothing. With ``tabm`` each member has
    its own loss in training, and the score is the mean of the members. A series of which the next
    values are forecast (``next_`` and its name) goes in relative to its own mean and deviation,
    and the output is scaled back: Kim et al., "Reversible Instance Normalization for Accurate
    Time-Series Forecasting against Distribution Shift" (ICLR 2022).

    Args:
        features: one dict a feature, as a fitted ``FeatureTransformer`` describes it.
        targets: one dict a target, likewise.
        body: what joins the features. ``mlp`` by default, which is the quickest; ``tabm`` is the
            best in most published tables, ``ft_transformer`` the slowest.
        units: width of each layer, or of each block of ``resnet`` and ``ft_transformer``, whose
            blocks are all alike. Two of 256 by default, the middle of what the published tables
            were tuned to.
        dropout: in the body. 0.1 by default, which does no harm on large tables; small ones need
            more.
        numbers: how numbers go in. As they are by default, which is the quickest;
            ``piecewise_linear`` (over quantile bins, with a linear part: version B of TabM's code)
            and ``periodic`` (PLR, with frequencies and a layer for each number) are the embeddings
            of Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep Learning"
            (NeurIPS 2022), and mostly better.
        embedding: width of an embedded number or category; in ``ft_transformer`` it is that of
            ``units``. 16 by default, as in TabM's code.
        members: of ``tabm``. 32 by default, as in its paper.
        heads: of attention in ``ft_transformer``. 8 by default, as in its paper.
        encoders: how texts, images and series are encoded, by the feature's name or by type:
            ``{"text": {"encoder": "convolved"}}``, with the encoder's params beside its name. A
            text is ``pooled`` or ``convolved``, a series ``fcn``, ``resnet`` or ``flat``; an image
            has ``convnet``, or a network of ``keras.applications`` by name, with ``weights`` from
            a file. By default the first of each, which CPUs train in minutes.

    Returns:
        A network from a dict by the features' ``input`` to a dict by target.

    Raises:
        ComponentError: there is no feature, one is of no known type, or another param does not
            fit.

    Example:
        >>> carat = {"name": "carat", "type": "number", "input": "numbers", "at": [0, 1]}
        >>> cut = {"name": "cut", "type": "category", "input": "categories", "at": [0, 1]}
        >>> network = feature_network(
        ...     [carat, {**cut, "size": 6, "encoding": "one_hot"}],
        ...     [{"name": "price", "type": "number"}, {"name": "sold", "type": "truth"}],
        ... )
        >>> scores = network({"numbers": np.array([[0.3]]), "categories": np.array([[2]])})
        >>> scores["price"].shape, scores["sold"].shape
        (TensorShape([1, 1]), TensorShape([1, 1]))
    """
    encoders = encoders or {}
    _check(features, targets, encoders)
    _check_body(body, units, heads, numbers)
    inputs = {name: _input(name, features) for name in dict.fromkeys(f["input"] for f in features)}
    arrays, levels = {**inputs}, {}
    forecast = {target["name"] for target in _of(targets, "series")}
    for feature in _of(features, "series"):
        if (name := NEXT + feature["name"]) in forecast:
            arrays[feature["input"]], level = relative(feature, inputs[feature["input"]])
            levels[name] = feature, level
    vectors = [_vector(f, arrays, encoders) for f in _of(features, *ENCODERS, "multi_category")]
    if body == "ft_transformer":
        tokens = _tokens(features, inputs, vectors, numbers, units[0])
        joined = bodies.ft_transformer(tokens, units, dropout, heads)
    else:
        # As in the code of TabM; the perceptron is better with one.
        activation = None if body == "tabm" and numbers == "piecewise_linear" else "relu"
        flat, sizes = _flat(features, inputs, vectors, numbers, embedding, activation)
        if body == "tabm":
            is_embedded = numbers and _of(features, "number")
            draw = keras.initializers.RandomNormal(stddev=1.0) if is_embedded else random_signs
            joined = bodies.tabm(flat, units, dropout, members, in_groups(sizes, draw))
        else:
            joined = (bodies.resnet if body == "resnet" else bodies.mlp)(flat, units, dropout)
    outputs = {}
    for target in targets:
        name = target["name"]
        score = bodies.head(joined, target.get("size", 1), _ACTIVATIONS[target["type"]])
        if name in levels:
            score = absolute(score, target, *levels[name])
        outputs[name] = MeanOfMembers()(score) if body == "tabm" else score
    return DictNetwork(inputs=inputs, outputs=outputs)


def _check(features: Features, targets: Features, encoders: ByName) -> None:
    """Refuse what would break later, or would be passed over."""
    if not features:
        raise ComponentError(f"{_PATH}.features: expected at least one feature, got none")
    types = (*_COLUMNS, "category", "multi_category", *ENCODERS)
    for param, given, known in (("features", features, types), ("targets", targets, _ACTIVATIONS)):
        for place, each in enumerate(given):
            if each["type"] not in known:
                remedy = did_you_mean(each["type"], known) or "choose one of these"
                raise ComponentError(
                    f"{_PATH}.{param}[{place}].type: expected {show_names(known)}, "
                    f"got {each['type']!a}; {remedy}"
                )
    names = [*ENCODERS, *(each["name"] for each in _of(features, *ENCODERS))]
    for name in encoders:
        if name not in names:
            remedy = did_you_mean(name, names) or "name the feature, or its type"
            raise ComponentError(
                f"{_PATH}.encoders: expected names or types of texts, images and series "
                f"({show_names(names)}), got {name!a}; {remedy}"
            )


def _check_body(body: str, units: Sequence[int], heads: int, numbers: str | None) -> None:
    """Refuse what a config is not asked for where its value is a placeholder, too."""
    for param, given, known in (("body", body, _BODIES), ("numbers", numbers, _NUMBERS)):
        if given not in known:
            remedy = did_you_mean(str(given), filter(None, known)) or "choose one of these"
            raise ComponentError(
                f"{_PATH}.{param}: expected {show_names(known)}, got {given!a}; {remedy}"
            )
    if body in ("resnet", "ft_transformer") and len({*units}) != 1:
        raise ComponentError(
            f"{_PATH}.units: expected blocks of one width for {body}, got {[*units]}; "
            "give the same number for each block"
        )
    if body == "ft_transformer" and units[0] < heads:
        raise ComponentError(
            f"{_PATH}.units: expected at least {heads} for {body}, which has as many heads, got "
            f"{units[0]}; give more units, or fewer heads"
        )


def _of(features: Features, *types: str) -> list[Feature]:
    return [feature for feature in features if feature["type"] in types]


def _input(name: str, features: Features) -> keras.KerasTensor:
    own = [feature for feature in features if feature["input"] == name]
    first, kind = own[0], own[0]["type"]
    if kind in (*_COLUMNS, "category"):
        shape = [max(feature["at"][1] for feature in own)]
    else:
        shape = first.get("shape") or [first["length"] if kind == "text" else first["size"]]
    dtype = {"category": "int32", "text": "int32", "image": "uint8"}.get(kind, "float32")
    # Keras gives its own layers names without dots.
    tensor = keras.Input(shape, dtype=dtype, name=f"input.{scope_name(name)}")
    tensor.name = name  # which is its key, as Keras wants it
    return tensor


def _vector(feature: Feature, inputs: ByName, encoders: ByName) -> Any:
    """What a feature of an input of its own becomes, ``(batch, n)``."""
    x, kind, name = inputs[feature["input"]], feature["type"], feature["name"]
    if kind == "multi_category":
        return x
    # A name that is a type's, too, means the type.
    key = name if name in encoders and name not in ENCODERS else kind
    return encode(feature, x, encoders.get(key, {}), f"{_PATH}.encoders.{key}")


def _flat(
    features: Features,
    inputs: ByName,
    vectors: list[Any],
    numbers: str | None,
    width: int,
    activation: str | None,
) -> tuple[Any, list[int]]:
    """All features side by side, ``(batch, n)``, and how many columns each of them has.

    Each column of what an encoder makes counts as a feature here.
    """
    embedded = _of(features, "number") if numbers else []
    plain = _of(features, *(_COLUMNS[1:] if numbers else _COLUMNS))
    categories = _of(features, "category")
    tables = [f for f in categories if f["encoding"] == "embedding"]
    one_hot = [f for f in categories if f["encoding"] == "one_hot"]
    parts = [*vectors]
    sizes = [1] * sum(vector.shape[-1] for vector in vectors)
    if plain:
        columns = np.concatenate([range(*f["at"]) for f in plain])
        parts.append(_columns(plain, inputs, columns))
        sizes += [1] * len(columns)
    if one_hot:
        codes = np.concatenate([np.full(f["size"] - 1, f["at"][0]) for f in one_hot])
        # Code 0 is left out, and so is equal to none of them.
        known = np.concatenate([np.arange(1, f["size"]) for f in one_hot])
        hits = ops.equal(_columns(one_hot, inputs, codes), known)
        parts.append(ops.cast(hits, "float32"))
        sizes += [f["size"] - 1 for f in one_hot]
    tokens = _number_tokens(embedded, inputs, numbers, width, activation)
    tokens += _category_tokens(tables, inputs, width)
    parts += [layers.Flatten()(each) for each in tokens]
    sizes += [width] * (len(embedded) + len(tables))
    return (ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]), sizes


def _columns(features: Features, inputs: ByName, places: Any) -> Any:
    """Columns of the input that features share, ``(batch, n)``."""
    return ops.take(inputs[features[0]["input"]], np.asarray(places, "int32"), axis=1)


def _tokens(
    features: Features, inputs: ByName, vectors: list[Any], numbers: str | None, width: int
) -> Any:
    """A vector for each feature, and a first one for none, ``(batch, 1 + n, width)``."""
    tokens = [
        *_number_tokens(_of(features, "number"), inputs, numbers, width),
        *_number_tokens(_of(features, "truth", "datetime"), inputs, None, width),
        *_category_tokens(_of(features, "category"), inputs, width),
        *(ops.expand_dims(layers.Dense(width)(vector), 1) for vector in vectors),
    ]
    first = layers.Dense(width, use_bias=False, kernel_initializer=uniform(width))
    return ops.concatenate([first(ops.ones_like(tokens[0][:, :1, :1])), *tokens], axis=1)


def _number_tokens(
    features: Features,
    inputs: ByName,
    kind: str | None,
    width: int,
    activation: str | None = "relu",
) -> list[Any]:
    """A vector for each feature of the matrix of numbers, ``(batch, n, width)``, if there are."""
    if not features:
        return []
    matrix = inputs[features[0]["input"]]
    counts = [f["at"][1] - f["at"][0] for f in features]
    # A feature of fewer columns than another is filled up with a column of zeros.
    columns = np.full((len(features), max(counts)), matrix.shape[1])
    for row, feature in enumerate(features):
        columns[row, : counts[row]] = range(*feature["at"])
    x = ops.take(ops.pad(matrix, [[0, 0], [0, 1]]), columns, axis=1)
    fan_in, zeros = width, 0
    if kind == "piecewise_linear":
        bins = _bins(x[..., 0], [f["edges"] for f in features])
        x, zeros = ops.concatenate([bins, x], axis=-1), bins.shape[-1]
    elif kind == "periodic":
        spread = keras.initializers.RandomNormal(stddev=2 * np.pi * _FREQUENCY_SCALE)
        waves = ScaledCopies(_FREQUENCIES, -1, spread)(x[..., 0])
        x = ops.concatenate([ops.cos(waves), ops.sin(waves), x[..., 1:]], axis=-1)
        fan_in = 2 * _FREQUENCIES

    def initial(shape: tuple[int, ...], dtype: Any = None) -> Any:
        drawn = uniform(fan_in)(shape, dtype)
        return ops.concatenate([ops.zeros_like(drawn[:, :zeros]), drawn[:, zeros:]], axis=1)

    layer = layers.EinsumDense(
        "bnm,nmd->bnd",
        (len(features), width),
        activation if kind else None,
        bias_axes="nd",
        kernel_initializer=initial,
        bias_initializer=uniform(width),
    )
    return [layer(x)]


def _bins(x: Any, edges: Sequence[Sequence[float]]) -> Any:
    """How far a number is through each of its bins: 0 before, 1 behind, linear within.

    The first and the last bin are linear outwards too.

    Args:
        x: ``(batch, n) float32``.
        edges: of each number, ``(bins + 1,)``.

    Returns:
        ``(batch, n, bins) float32``, 0 in bins that only others have.
    """
    shape = len(edges), max(map(len, edges)) - 1
    start, slope, least, most = (np.zeros(shape, "float32") for _ in range(4))
    for row, each in enumerate(edges):
        bins = len(each) - 1
        start[row, :bins], slope[row, :bins] = each[:-1], 1 / np.diff(each)
        most[row, :bins] = 1
        least[row, 0], most[row, bins - 1] = -np.inf, np.inf
    far = (ops.expand_dims(x, -1) - start) * slope
    return ops.minimum(ops.maximum(far, least), most)


def _category_tokens(features: Features, inputs: ByName, width: int) -> list[Any]:
    """A vector for each category, ``(batch, n, width)``: zeros for code 0, which has no row."""
    if not features:
        return []
    codes = _columns(features, inputs, [f["at"][0] for f in features])
    ends = np.cumsum([f["size"] - 1 for f in features])
    starts = np.array([0, *ends[:-1]], "int32")
    known = codes > 0
    rows = ops.where(known, codes + (starts - 1), 0)
    vectors = layers.Embedding(max(int(ends[-1]), 1), width, uniform(width))(rows)
    return [vectors * ops.expand_dims(ops.cast(known, vectors.dtype), -1)]
