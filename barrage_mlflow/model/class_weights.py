"""Class weights: what a record counts in the loss, by the class that its target is of."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from keras import ops

from barrage_mlflow.config.names import suggest
from barrage_mlflow.errors import ComponentError, ConfigError, Fault
from barrage_mlflow.model.output import Output

Arrays = Mapping[str, np.ndarray]
Targets = Iterable[tuple[Arrays, Arrays]]
Labels = Mapping[str, Sequence[Any]]


def weigh_classes(
    outputs: Iterable[Output], targets: Targets, labels: Labels, is_whole: bool = True
) -> Callable[[Any, Any], dict[str, Any]] | None:
    """Find out what each class counts, as the ``class_weight`` of outputs asks.

    Args:
        outputs: all outputs of the network.
        targets: of the train set, in parts: targets by output, ``(records, ...)``, and likewise
            how often a pass draws each, ``(records,) int64``. Gone through where an output asks.
        labels: names of classes in the order of their codes, by output; outputs may lack.
        is_whole: whether they are all train records.

    Returns:
        What makes of targets and sample weights those that the loss takes (see
        :attr:`DictNetwork.weigh`); None where no output asks.

    Raises:
        ComponentError: a target is no class.
        ConfigError: ``class_weight`` names a class of which there is no record.

    Example:
        >>> import keras
        >>> loss = keras.losses.BinaryCrossentropy()
        >>> ill = Output("ill", "$", (1,), "float32", loss, class_weight="balanced")
        >>> y = {"ill": np.array([0, 1, 0, 0])}
        >>> weigh = weigh_classes([ill], [(y, {"ill": np.ones(4, int)})], {})
        >>> weigh(y, None)["ill"].numpy().round(2)
        array([0.67, 2.  , 0.67, 0.67], dtype=float32)
    """
    counts = {each: Counter[int]() for each in outputs if each.class_weight is not None}
    if not counts:
        return None
    for y, draws in targets:
        for output, counted in counts.items():
            counted.update(_count(output, y[output.name], draws[output.name]))
    tables = {each.name: _table(each, counts[each], labels, is_whole) for each in counts}
    return partial(_weigh, tables)


def _count(output: Output, y: np.ndarray, draws: np.ndarray) -> dict[int, int]:
    """How often a pass draws records of each class, by its code."""
    wrong = np.ones(len(y), bool)
    if y.ndim == 2 and y.shape[1] > 1 and y.shape[1:] == output.shape:
        wrong = ((y != 0) & (y != 1)).any(axis=1) | (y.sum(axis=1) != 1)
    elif y.size == len(y):
        counted = y.reshape(-1) != output.loss.get_config().get("ignore_class")
        y, draws = y[counted], draws[counted]
        highest = 1 if output.shape[-1:] == (1,) else np.inf
        wrong = ~((y >= 0) & (y <= highest) & (y % 1 == 0)).reshape(-1)
    if wrong.any():
        raise ComponentError(
            f"{output.path}.class_weight: expected targets of '{output.name}' that are classes, "
            "as whole numbers from 0 (0 and 1 for an output of one number) or one-hot, got "
            f"{reprlib.repr(y[wrong.argmax()].tolist())}; leave class_weight out"
        )
    codes, places = np.unique(ops.convert_to_numpy(_codes(y.astype(float))), return_inverse=True)
    return dict(zip(codes.tolist(), np.bincount(places, draws).astype(int).tolist(), strict=True))


def _table(output: Output, counts: Counter[int], labels: Labels, is_whole: bool) -> np.ndarray:
    """What each class counts, by its code; the last entry is for all higher codes."""
    drawn = {code: count for code, count in counts.items() if count}
    order = labels.get(output.name, range(max(drawn, default=0) + 1))
    weights = {code: counts.total() / (len(drawn) * count) for code, count in drawn.items()}
    if isinstance(output.class_weight, Mapping):
        names = {str(label): code for code, label in enumerate(order)}
        known = [name for name, code in names.items() if code in drawn or not is_whole]
        unknown = [name for name in output.class_weight if name not in known]
        # Where codes are names, the first records need not have all of them.
        if unknown and (is_whole or output.name in labels):
            path, what = f"{output.path}.class_weight", "no train record is of the class"
            remedies = {name: suggest(name, known, "classes") for name in unknown}
            raise ConfigError([Fault(path, f"{what} {name!r}", remedies[name]) for name in unknown])
        weights = {names[k]: weight for k, weight in output.class_weight.items() if k in known}
    table = np.ones(max([len(order), *drawn]) + 2, np.float32)
    table[[*weights]] = [*weights.values()]
    return table


def _weigh(tables: Arrays, y: Mapping[str, Any], w: Mapping[str, Any] | None) -> dict[str, Any]:
    """Sample weights by output, each times what the class of its record counts."""
    weights = dict(w or {})
    for name, table in tables.items():
        own = ops.take(table, ops.clip(_codes(y[name]), 0, len(table) - 1))
        weights[name] = own * weights[name] if name in weights else own
    return weights


def _codes(y: Any) -> Any:
    """The codes ``(batch,)`` of classes, also of those that an augmentor has smoothed."""
    if len(y.shape) > 1 and y.shape[-1] > 1:
        return ops.argmax(y, axis=-1)
    return ops.cast(ops.round(ops.reshape(y, (-1,))), "int32")
