"""One output of the network: fits targets and sample weights, finds early what does not fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np

from barrage_mlflow.dataset.feeding.conform import TargetRange, show_shape
from barrage_mlflow.errors import ComponentError
from barrage_mlflow.model.metrics import Crossentropy, form, unreduced

_BATCH = 7919
"""Records in a traced batch: a number that no other axis is likely to have."""

_BINARY_LOSSES = (keras.losses.BinaryCrossentropy, keras.losses.BinaryFocalCrossentropy)
_INDEX_LOSSES = ("SparseCategoricalCrossentropy", "Circle", "CTC", "Crossentropy")
"""Keras's losses whose targets need not be of the output's shape."""


@dataclass(eq=False)
class Output:
    """What is compared with one output of the network, and how.

    Attributes:
        name: of the output.
        path: JSON path of its config.
        shape: of the output, without the batch axis; None for an open axis.
        dtype: of the output.
        loss: of the output.
        metrics: of the output, by the names that they are logged under.
        temporal: whether there is a weight for each timestep.
        loss_weight: what its loss counts in that of the network.
        class_weight: what each class counts in its loss: ``"balanced"`` or by the class.

    Example:
        >>> mse = keras.losses.MeanSquaredError()
        >>> mass = Output("mass", "$.model.outputs[0]", (1,), "float32", mse)
        >>> mass.check(np.zeros(5, "float32"))
        >>> y = mass.conform(np.zeros(5, "float32"))
        >>> y.shape, mass.weights(np.ones((5, 1)), y).shape
        ((5, 1), (5,))
    """

    name: str
    path: str
    shape: tuple[int | None, ...]
    dtype: str
    loss: keras.losses.Loss
    metrics: Mapping[str, keras.metrics.Metric] = field(default_factory=dict)
    temporal: bool = False
    loss_weight: float = 1.0
    class_weight: str | Mapping[str, Any] | None = None

    # Of these, check() finds out.
    _values: tuple[int | None, ...] = field(default=(), init=False)
    """The shape of the loss's values, batch included: 1 where it joins the records."""
    _form: str = field(default="", init=False)
    """Of crossentropy, as targets and output have it."""

    @property
    def target_range(self) -> TargetRange | None:
        """What the loss takes as targets, once they were checked; None where any number will do."""
        loss, units = self.loss, self.shape[-1] if self.shape else None
        by_shape = self._form if isinstance(loss, Crossentropy) else ""
        if isinstance(loss, _BINARY_LOSSES) or by_shape == "binary":
            return TargetRange(1, whole=False)
        is_sparse = isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
        if units is None or not (is_sparse or by_shape == "sparse_categorical"):
            return None
        # A class that is ignored may have any number.
        is_any = loss.get_config().get("ignore_class") is not None
        return None if is_any else TargetRange(units - 1, whole=True)

    @property
    def joins_records(self) -> bool:
        """Whether the loss gives no value for each record, once targets were checked."""
        return self._values == (1,)

    def conform(self, y: np.ndarray) -> np.ndarray:
        """Gives targets the last axis of an output of one number per record or timestep.

        Without it, a loss that subtracts (batch,) from (batch, 1) compares every record with
        every other.

        Args:
            y: ``(batch, ...)``, finite numbers.
        """
        if self.shape[-1:] == (1,) and y.ndim == len(self.shape):
            return y[..., np.newaxis]
        return y

    def check(self, y: np.ndarray, weighted: bool = False) -> None:
        """Tries loss and metrics on the shapes of a batch, computing nothing.

        Args:
            y: targets of the output, ``(batch, ...)``.
            weighted: whether the metrics will be given weights.

        Raises:
            ComponentError: they cannot be compared with the output.
            Exception: whatever a project's own loss or metric raises, with the place added.
        """
        y = self.conform(y)
        self._form = form(y.shape, (len(y), *self.shape))
        fits_output = _fit(y.shape[1:], self.shape)
        of_indices = type(self.loss).__name__ in _INDEX_LOSSES
        if _is_of_keras(self.loss) and not fits_output and not of_indices:
            raise self._misfit("loss", self.loss, y, "the shapes differ")
        values = self._trace("loss", self.loss, partial(unreduced, self.loss), y)
        shape = tuple(values.shape)
        joins = shape[:1] != (_BATCH,)
        self._values = (1,) if joins else shape
        by_class = self.class_weight is not None
        if (joins and weighted) or (by_class and shape != (_BATCH,)):
            given = "class_weight" if by_class else "loader's sample weights"
            gives = "joins the records of a batch" if joins else f"gives {show_shape(shape[1:])}"
            raise ComponentError(
                f"{self.path}.loss: expected a value for each record, to weigh it with the "
                f"{given} of '{self.name}', got {type(self.loss).__name__}, which {gives}; "
                "leave the weights out or choose another loss"
            )
        if self.temporal and len(self._values) < 2:
            raise ComponentError(
                f"{self.path}.sample_weight_mode: expected an output with a time axis for "
                f"'temporal', got '{self.name}' {show_shape(self.shape)}, "
                "whose loss has one value per record; leave sample_weight_mode out"
            )
        weights = self._ones(y).shape[1:] if weighted else None
        for place, metric in enumerate(self.metrics.values()):
            self._trace(f"metrics[{place}]", metric, metric.update_state, y, weights)

    def weights(self, w: np.ndarray | None, y: np.ndarray) -> np.ndarray:
        """Fits the sample weights of a batch to the values of the loss.

        Args:
            w: ``(batch,)`` or ``(batch, 1)``, or with ``temporal`` also ``(batch, time)``; None
                for ones.
            y: targets of the batch, conformed.

        Returns:
            float32, of the shape of the loss's values: ``(batch,)``, ``(batch, time)`` ….

        Raises:
            ComponentError: the weights have another shape.
        """
        if not self._values:
            self.check(y)
        ones = self._ones(y)
        if w is None:
            return ones
        # Axes along which weights differ; those behind them must be of length 1.
        depth = 2 if self.temporal and w.shape[:2] == ones.shape[:2] else 1
        meaning = w.shape[:depth]
        if meaning != ones.shape[:depth] or w.size != np.prod(meaning, dtype=int):
            steps = f" or {ones.shape[:2]}" if self.temporal else ""
            timed = ones.ndim > 1
            remedy = ", or per timestep with sample_weight_mode 'temporal'" if timed else ""
            raise ComponentError(
                f"{self.path}: expected sample weights of '{self.name}' of shape "
                f"({len(ones)},){steps}, got {w.shape}; give one weight per record{remedy}"
            )
        fitted = w.reshape(meaning + (1,) * (ones.ndim - depth))
        return np.ascontiguousarray(np.broadcast_to(fitted, ones.shape), dtype=np.float32)

    def _ones(self, y: np.ndarray) -> np.ndarray:
        """Weights of 1 in the shape of the loss's values; open axes are as long as in ``y``."""
        batch, *axes = self._values
        lengths = y.shape[1 : 1 + len(axes)] + (1,) * len(axes)
        known = [
            length if axis is None else axis for axis, length in zip(axes, lengths, strict=False)
        ]
        return np.ones((1 if batch == 1 else len(y), *known), np.float32)

    def _trace(
        self,
        key: str,
        component: Any,
        function: Callable[..., Any],
        y: np.ndarray,
        weights: Sequence[int] | None = None,
    ) -> Any:
        """Trace a loss or metric on batches like this one, whose records are of another number."""
        import tensorflow as tf

        specs = [
            tf.TensorSpec((_BATCH, *y.shape[1:]), y.dtype),
            tf.TensorSpec((_BATCH, *self.shape), self.dtype),
        ]
        if weights is not None:
            specs.append(tf.TensorSpec((_BATCH, *weights), "float32"))
        try:
            with warnings.catch_warnings():
                # They come again, and once only, when training traces the same functions.
                warnings.simplefilter("ignore")
                traced = tf.function(function, autograph=False).get_concrete_function(*specs)
        except Exception as error:
            if _is_of_keras(component):
                first_line = str(error).strip().partition("\n")[0]
                raise self._misfit(key, component, y, first_line) from error
            error.add_note(
                f"in {self.path}.{key}, {type(component).__name__} on targets "
                f"{show_shape(y.shape[1:])} {y.dtype} and the network's output '{self.name}' "
                f"{show_shape(self.shape)} {self.dtype}"
            )
            raise
        return traced.structured_outputs

    def _misfit(self, key: str, component: Any, y: np.ndarray, why: str) -> ComponentError:
        kind = type(component).__name__
        # The class behind an alias means nothing to a reader.
        if kind in {"MeanMetricWrapper", "Crossentropy"}:
            kind = f"'{component.name}'"
        remedy = "make the targets the shape of the output, or choose another loss or metric"
        if kind.startswith("Categorical") and y.ndim == len(self.shape):
            remedy = f"class indices as targets need Sparse{kind}"
        elif kind.startswith("SparseCategorical") and _fit(y.shape[1:], self.shape):
            remedy = f"one-hot targets need {kind.removeprefix('Sparse')}"
        return ComponentError(
            f"{self.path}.{key}: expected targets that {kind} can compare with the network's "
            f"output '{self.name}' {show_shape(self.shape)} {self.dtype}, got "
            f"{show_shape(y.shape[1:])} {y.dtype} from loader and transformer ({why}); {remedy}"
        )


def _fit(y: Sequence[int], output: Sequence[int | None]) -> bool:
    """Whether shapes without the batch are equal, but for a last axis of length 1."""
    short, long = sorted([tuple(y), tuple(output)], key=len)
    if len(long) == len(short) + 1 and long[-1] == 1:
        long = long[:-1]
    return len(short) == len(long) and all(
        a is None or b is None or a == b for a, b in zip(short, long, strict=True)
    )


def _is_of_keras(component: Any) -> bool:
    """Whether it is Keras's, or the class behind an alias of Keras's."""
    return type(component).__module__.partition(".")[0] in {"keras", "barrage_mlflow"}
