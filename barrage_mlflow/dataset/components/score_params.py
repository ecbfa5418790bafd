"""What a request may set of ``postprocess``: declared by a transformer, filled for each request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from barrage_mlflow.config.names import suggest
from barrage_mlflow.dataset.components.places import component_name
from barrage_mlflow.dataset.components.transformer import RecordTransformer
from barrage_mlflow.dataset.records.values import native, shown
from barrage_mlflow.errors import ComponentError, RecordError

_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def declared_params(transformer: RecordTransformer) -> dict[str, Any]:
    """The ``score_params`` of a transformer, checked, in plain Python.

    Args:
        transformer: fitted or loaded.

    Raises:
        ComponentError: they are no dict of names and defaults.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, RecordMode
        >>> class Thresholded(IdentityTransformer):
        ...     score_params = {"threshold": 0.5}
        >>> declared_params(Thresholded(RecordMode.SCORE, None))
        {'threshold': 0.5}
    """
    params = transformer.score_params
    is_dict = isinstance(params, Mapping)
    declared: dict[str, Any] = native(dict(params)) if is_dict else {}
    if not is_dict or any(type(default) not in _EXPECTED for default in declared.values()):
        raise ComponentError(
            f"{component_name(transformer)}.score_params: expected a dict of names and their "
            f"defaults, each a number, a string or a truth value, got {params!r}"
        )
    return declared


def fill_params(declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """All params of ``postprocess``: those that a request sets, and the defaults of the others.

    Args:
        declared: the defaults by name.
        given: what is asked for by name; a number may be whole.

    Raises:
        RecordError: a name is unknown, or a value is not of its default's type.

    Example:
        >>> fill_params({"threshold": 0.5, "top": 3}, {"threshold": 1})
        {'threshold': 1.0, 'top': 3}
        >>> fill_params({"threshold": 0.5}, {"treshold": 0.3})
        Traceback (most recent call last):
        barrage_mlflow.errors.RecordError: unknown param 'treshold'; did you mean 'threshold'?
    """
    filled = dict(declared)
    for name, value in given.items():
        if name not in declared:
            remedy = suggest(str(name), declared, "params") or "this model takes none"
            raise RecordError(f"unknown param {name!r}; {remedy}")
        kind, value = type(declared[name]), native(value)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind or (kind is float and not math.isfinite(value)):
            raise RecordError(f"param {name!r}: expected {_EXPECTED[kind]}, got {shown(value)}")
        filled[name] = value
    return filled
