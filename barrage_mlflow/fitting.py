"""The training loop.

It does what ``keras.Model.fit`` does, on public Keras calls: same order of callbacks, same
metrics and same weights to the last bit. It differs where Barrage needs more: the step is
traced once for every batch size; each batch reports its loss alone, and the other metrics are
computed once an epoch; ``on_train_end`` reaches every callback also when training breaks off;
and a training goes on from a resume checkpoint as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np

from barrage_mlflow.errors import ComponentError, RecordError
from barrage_mlflow.services import Checkpoint, ResumeCheckpoint

if TYPE_CHECKING:
    from barrage_mlflow.dataset import DataRecord
    from barrage_mlflow.model import Objective

Logs = dict[str, float]

_PARTS = ("input", "target", "sample weight")


class Epochs(Protocol):
    """The train batches of every epoch, in the form of :class:`TrainBatches`.

    Attributes:
        steps: batches in an epoch.
    """

    steps: int

    def epoch(self, epoch: int, start: int = 0) -> Iterator[DataRecord]:
        """Give the batches of one epoch, from the batch ``start`` on."""


def fit(
    network: keras.Model,
    train: Epochs,
    validation: Iterable[DataRecord],
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback],
    objective: Objective,
    resume: Checkpoint | None = None,
) -> list[Logs]:
    """Train a compiled network.

    Callbacks are called in their order, the resume checkpoint after all others. At a batch's
    end their logs hold ``loss``, its mean over the epoch so far; at an epoch's end every
    train metric, every validation metric as ``val_…``, and ``learning_rate``: the one in force
    at the end of the epoch, before a learning rate reducer changes it (with a schedule, the
    one of the next step).

    Args:
        network: a functional network, dict in and dict out, compiled by ``objective``.
        train: batches of ``(x, y)`` or ``(x, y, w)``, dicts of arrays ``(batch, …)``.
        validation: likewise.
        epochs: how many epochs to train in all, those before ``resume`` included.
        callbacks: Keras callbacks.
        objective: fits targets and sample weights to the losses.
        resume: a checkpoint to go on from.

    Returns:
        The logs of each epoch, those before ``resume`` included.

    Raises:
        ComponentError: a metric gives more than one number.
        RecordError: a batch differs from the first in type or number of dimensions.
        ArtifactError: ``resume`` is of another network or of other callbacks.
        Exception: whatever a callback or component raises. Every callback's ``on_train_end``
            was called by then, as after a KeyboardInterrupt.

    Example:
        >>> from types import SimpleNamespace
        >>> x = keras.Input((2,), name="x")
        >>> network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(x)})
        >>> network.compile("sgd", loss={"y": "mse"})
        >>> batch = ({"x": np.ones((4, 2), "float32")}, {"y": np.ones((4, 1), "float32")})
        >>> train = SimpleNamespace(steps=1, epoch=lambda epoch, start=0: iter([batch]))
        >>> objective = SimpleNamespace(conform=lambda y, w: (y, w))
        >>> logs = fit(network, train, [batch], 2, [], objective)
        >>> [list(epoch) for epoch in logs]
        [['loss', 'val_loss', 'learning_rate'], ['loss', 'val_loss', 'learning_rate']]
    """
    first_epoch = resume.epoch if resume else 0
    history: list[Logs] = list(resume.logs) if resume else []
    ordered = _ordered(callbacks, history)
    callback_list = keras.callbacks.CallbackList(
        [_InOrder(), *ordered],
        add_history=True,
        model=network,
        epochs=epochs,
        steps=train.steps,
        verbose=0,
    )
    network.stop_training = False
    loop = _Loop(network, callback_list, objective)
    try:
        batches = loop.prepare(train.epoch(first_epoch)) if first_epoch < epochs else iter(())
        callback_list.on_train_begin()
        if resume:
            resume.restore(network, ordered)
        for epoch in range(first_epoch, epochs):
            if network.stop_training:
                break
            logs = loop.train_epoch(epoch, batches if epoch == first_epoch else train.epoch(epoch))
            logs |= {f"val_{name}": value for name, value in loop.validate(validation).items()}
            logs["learning_rate"] = _learning_rate(network)
            history.append(logs)
            callback_list.on_epoch_end(epoch, logs)
        network.optimizer.finalize_variable_values(network.trainable_variables)
    except BaseException as failure:
        loop.abandon(failure)
        raise
    callback_list.on_train_end(history[-1] if history else None)
    return history


class _InOrder(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps Keras from handing batch ends to threads, as it does where none listens to them."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None: ...

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None: ...

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None: ...


def _ordered(
    callbacks: Sequence[keras.callbacks.Callback], history: Sequence[Logs]
) -> list[keras.callbacks.Callback]:
    """Put the resume checkpoint last: what it writes holds what the others became."""
    resumes = [callback for callback in callbacks if isinstance(callback, ResumeCheckpoint)]
    others = [callback for callback in callbacks if not isinstance(callback, ResumeCheckpoint)]
    for callback in resumes:
        callback.watch(others, history)
    return [*others, *resumes]


class _Loop:
    """The steps of a training: the network, its traced functions and where the loop stands."""

    def __init__(
        self, network: keras.Model, callbacks: keras.callbacks.CallbackList, objective: Objective
    ) -> None:
        self._network = network
        self._callbacks = callbacks
        self._objective = objective
        self._train_step = _Step(network, network.train_step, "train")
        self._test_step = _Step(network, network.test_step, "validation")
        self._testing = False

    def prepare(self, batches: Iterator[DataRecord]) -> Iterator[DataRecord]:
        """Make the variables of metrics and optimizer, which Keras makes when they are first used.

        They must be there before the step is traced and before a checkpoint is restored.

        Returns:
            All the batches, the first included.
        """
        first = next(batches)
        _build(self._network, self._conform(first))
        return _again(first, batches)

    def train_epoch(self, epoch: int, batches: Iterator[DataRecord]) -> Logs:
        network, callbacks, step = self._network, self._callbacks, self._train_step
        network.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        with _closing(batches):
            for index, data in enumerate(batches):
                callbacks.on_train_batch_begin(index)
                logs = {"loss": step(self._conform(data))}
                callbacks.on_train_batch_end(index, logs)
                if network.stop_training:
                    break
        return _results(network)

    def validate(self, batches: Iterable[DataRecord]) -> Logs:
        network, callbacks, step = self._network, self._callbacks, self._test_step
        network.stop_evaluating = False
        self._testing = True
        callbacks.on_test_begin()
        network.reset_metrics()
        for index, data in enumerate(batches):
            callbacks.on_test_batch_begin(index)
            logs = {"loss": step(self._conform(data))}
            callbacks.on_test_batch_end(index, logs)
            if network.stop_evaluating:
                break
        results = _results(network)
        callbacks.on_test_end(results)
        self._testing = False
        return results

    def abandon(self, failure: BaseException) -> None:
        """Let every callback close its files; what breaks then is a note on the failure."""
        for callback in self._callbacks.callbacks:
            try:
                if self._testing:
                    callback.on_test_end({})
                callback.on_train_end(None)
            except Exception as error:
                failure.add_note(
                    f"then {type(callback).__name__}.on_train_end raised "
                    f"{type(error).__name__}: {error}"
                )

    def _conform(self, data: DataRecord) -> DataRecord:
        y, w = self._objective.conform(data[1], data[2] if len(data) > 2 else None)
        return (data[0], y) if w is None else (data[0], y, w)


class _Step:
    """Takes one batch through the network and returns the loss.

    The function is traced for any number of records, on the first batch. It is a flat list of
    tensors that it takes, and only the loss that it returns: packing dicts and computing
    metrics would cost as much as the step itself in a small network.
    """

    def __init__(
        self, network: keras.Model, step: Callable[[Any], dict[str, Any]], mode: str
    ) -> None:
        self._network = network
        self._step = step
        self._mode = mode
        self._places: list[tuple[int, str]] = []
        self._specs: list[tuple[tuple[int | None, ...], np.dtype]] = []
        self._run: Callable[..., Any] | None = None

    def __call__(self, data: DataRecord) -> float:
        if self._run is None:
            self._places = [(part, name) for part, arrays in enumerate(data) for name in arrays]
            self._specs = [self._spec(data, *place) for place in self._places]
            self._run = self._trace(len(data))
        arrays = [data[part][name] for part, name in self._places]
        if not all(map(_fits, arrays, self._specs)):
            self._specs = list(map(self._relax, self._places, arrays, self._specs))
            self._run = self._trace(len(data))
        return float(self._run(*map(self._tensor, arrays)))

    def _trace(self, parts: int) -> Callable[..., Any]:
        import tensorflow as tf

        self._tensor = tf.convert_to_tensor
        places, step = self._places, self._step

        def run(*tensors: Any) -> Any:
            data: list[dict[str, Any]] = [{} for _ in range(parts)]
            for (part, name), tensor in zip(places, tensors, strict=True):
                data[part][name] = tensor
            return step(tuple(data))["loss"]

        function = tf.function(
            run,
            input_signature=[tf.TensorSpec([None, *dims], dtype) for dims, dtype in self._specs],
            autograph=False,
            jit_compile=self._network.jit_compile,
        )
        concrete: Callable[..., Any] = function.get_concrete_function()
        return concrete

    def _spec(
        self, data: DataRecord, part: int, name: str
    ) -> tuple[tuple[int | None, ...], np.dtype]:
        """Shape without the batch, ``None`` where the network leaves it open; and dtype."""
        tensors = self._network.output if part else self._network.input
        known = dict(enumerate(tensors[name].shape))
        array = data[part][name]
        dims = tuple(
            None if known.get(axis, dim) is None else dim
            for axis, dim in enumerate(array.shape[1:], 1)
        )
        return dims, array.dtype

    def _relax(
        self,
        place: tuple[int, str],
        array: np.ndarray,
        spec: tuple[tuple[int | None, ...], np.dtype],
    ) -> tuple[tuple[int | None, ...], np.dtype]:
        """Leave open the dimensions in which a batch differs from those before."""
        dims, dtype = spec
        if len(array.shape) != len(dims) + 1 or array.dtype != dtype:
            part, name = place
            raise RecordError(
                f"{self._mode} {_PARTS[part]} {name!r}: expected "
                f"({', '.join(map(str, ('batch', *dims)))}) {dtype} as in the first batch, "
                f"got {array.shape} {array.dtype}; every record must give the same"
            )
        relaxed = (
            dim if dim == now else None for dim, now in zip(dims, array.shape[1:], strict=True)
        )
        return tuple(relaxed), dtype


def _fits(array: np.ndarray, spec: tuple[tuple[int | None, ...], np.dtype]) -> bool:
    dims, dtype = spec
    shape = array.shape[1:]
    if shape == dims and array.dtype == dtype:
        return True
    return (
        array.dtype == dtype
        and len(array.shape) == len(dims) + 1
        and all(dim is None or dim == now for dim, now in zip(dims, shape, strict=True))
    )


def _build(network: keras.Model, data: DataRecord) -> None:
    # Nothing that the network would change of itself in this call is changed.
    with keras.StatelessScope():
        outputs = network(data[0], training=False)
    x, y, w = (*data, None)[:3]
    results = network.compute_metrics(x, y, outputs, sample_weight=w)
    network.compute_loss(x, y, outputs, w, training=False)
    network.reset_metrics()
    for name, value in results.items():
        shape = tuple(np.shape(value))
        if shape:
            raise ComponentError(
                f"metric {name!r}: expected one number, got an array of shape {shape}; "
                "a metric that keeps classes apart needs a param that joins them, "
                'such as "average": "macro"'
            )
    if not network.optimizer.built:
        network.optimizer.build(network.trainable_variables)


def _again(first: DataRecord, rest: Iterator[DataRecord]) -> Iterator[DataRecord]:
    yield first
    yield from rest


def _closing(batches: Any) -> AbstractContextManager[Any]:
    """Close a generator that is left early, for what it holds open."""
    return closing(batches) if hasattr(batches, "close") else nullcontext()


def _learning_rate(network: keras.Model) -> float:
    """Give it as the user wrote it, ``0.001``, not as float32 holds it, ``0.0010000000475``."""
    return float(str(keras.ops.convert_to_numpy(network.optimizer.learning_rate)))


def _results(network: keras.Model) -> Logs:
    return {name: float(value) for name, value in network.get_metrics_result().items()}
