"""What a training remembers between two batches, apart from its data: copied and put back."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import keras
import numpy as np
from keras.src.backend.common.global_state import GLOBAL_STATE_TRACKER
from keras.src.random.seed_generator import global_seed_generator
from tensorflow.python.eager.context import context

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.services.best import BestCheckpoint

_KERAS_SEEDS = ("global_random_seed", "global_seed_generator")
_ATTRIBUTES = ("wait", "best", "best_epoch", "best_weights", "stopped_epoch", "cooldown_counter")
_WITH_ATTRIBUTES = (
    BestCheckpoint,
    keras.callbacks.EarlyStopping,
    keras.callbacks.ReduceLROnPlateau,
)
"""Callbacks whose memory is those attributes that they have, whose arrays they never change."""


def copy_variables(network: keras.Model) -> dict[str, list[Any]]:
    """Copy every variable of a compiled network, of its optimizer and of its metrics.

    Among the network's are the states of its layers' seed generators, among the optimizer's
    the learning rate and the count of steps, the metrics' what an epoch has added up so far.

    Args:
        network: compiled, the variables of optimizer and metrics made.

    Returns:
        For each owner ``[path, array]`` of its variables.
    """
    return {
        owner: [[variable.path, np.asarray(variable.numpy())] for variable in variables]
        for owner, variables in _variables(network).items()
    }


def restore_variables(network: keras.Model, saved: dict[str, list[Any]]) -> None:
    """Set the variables to what :func:`copy_variables` returned.

    Variables are matched by their order, since the names of layers depend on what else the
    process has built.

    Args:
        network: compiled, the variables of optimizer and metrics made.
        saved: what :func:`copy_variables` returned.

    Raises:
        ArtifactError: they are those of another network or optimizer; nothing was changed.
    """
    wanted = _variables(network)
    for owner, variables in wanted.items():
        _check_same(owner, variables, saved[owner])
    for owner, variables in wanted.items():
        for variable, (_, array) in zip(variables, saved[owner], strict=True):
            variable.assign(array)


def _variables(network: keras.Model) -> dict[str, list[keras.Variable]]:
    return {
        "trainable": network.trainable_variables,
        "optimizer": network.optimizer.variables,
        "non-trainable": network.non_trainable_variables,
        "metrics": network.metrics_variables,
    }


def _check_same(owner: str, variables: Sequence[keras.Variable], saved: list[Any]) -> None:
    thing = owner if owner in ("optimizer", "metrics") else "network"
    if len(saved) != len(variables):
        raise ArtifactError(
            f"the checkpoint is of another {thing}: expected {len(variables)} {owner} variables, "
            f"got {len(saved)}"
        )
    for variable, (path, array) in zip(variables, saved, strict=True):
        wanted = f"{tuple(variable.shape)} {variable.dtype}"
        got = f"{array.shape} {array.dtype}"
        if got != wanted:
            raise ArtifactError(
                f"the checkpoint is of another {thing}: expected {variable.path!r} {wanted}, "
                f"got {path!r} {got}"
            )


def copy_callbacks(callbacks: Iterable[keras.callbacks.Callback]) -> list[Any]:
    """Copy what callbacks remember.

    Of those that have ``get_state()`` and ``set_state(state)``, the state being a dict of JSON
    values and arrays; and of the best checkpoint, Keras's early stopping and learning rate
    reducer, whose memory is their public attributes.

    Returns:
        One ``[class name, state]`` a callback.
    """
    return [
        [type(callback).__name__, _get_state(callback)]
        for callback in callbacks
        if remembers(callback)
    ]


def restore_callbacks(callbacks: Iterable[keras.callbacks.Callback], states: list[Any]) -> None:
    """Give callbacks back what :func:`copy_callbacks` returned.

    To be done after their ``on_train_begin``, which makes most of them forget.

    Raises:
        ArtifactError: they are not the callbacks that it was taken from; nothing was changed.
    """
    remembering = list(filter(remembers, callbacks))
    saved, present = [name for name, _ in states], [type(each).__name__ for each in remembering]
    if saved != present:
        raise ArtifactError(
            "the checkpoint is of other callbacks: "
            f"expected {', '.join(present) or 'none'}, got {', '.join(saved) or 'none'}"
        )
    for callback, (_, state) in zip(remembering, states, strict=True):
        if _has_state(callback):
            callback.set_state(state)
        else:
            vars(callback).update(state)


def remembers(callback: keras.callbacks.Callback) -> bool:
    """Whether a checkpoint keeps what a callback remembers.

    Example:
        >>> remembers(keras.callbacks.EarlyStopping()), remembers(keras.callbacks.CSVLogger("log"))
        (True, False)
    """
    return isinstance(callback, _WITH_ATTRIBUTES) or _has_state(callback)


def _has_state(callback: keras.callbacks.Callback) -> bool:
    return hasattr(callback, "get_state") and hasattr(callback, "set_state")


def _get_state(callback: keras.callbacks.Callback) -> dict[str, Any]:
    if _has_state(callback):
        # It may hand out what it goes on changing, and the checkpoint is written later.
        state: dict[str, Any] = copy.deepcopy(callback.get_state())
        return state
    return {name: getattr(callback, name) for name in _ATTRIBUTES if hasattr(callback, name)}


@contextmanager
def kept_generators() -> Iterator[None]:
    """Have the global random generators draw after the block as if it had not been there.

    Example:
        >>> keras.utils.set_random_seed(3)
        >>> with kept_generators():
        ...     keras.utils.set_random_seed(7)
        >>> drawn = random.random(), float(np.random.rand()), float(keras.random.uniform(()))
        >>> keras.utils.set_random_seed(3)
        >>> drawn == (random.random(), float(np.random.rand()), float(keras.random.uniform(())))
        True
    """
    # Of TensorFlow and Keras, a new seed makes new generators: those that there are stay as they
    # are, and are put back.
    owned = {context(): ("_seed", "_rng"), GLOBAL_STATE_TRACKER: _KERAS_SEEDS}
    kept = [(owner, name, getattr(owner, name, None)) for owner in owned for name in owned[owner]]
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for owner, name, value in kept:
            setattr(owner, name, value)


def generator_states() -> dict[str, Any]:
    """Return the states of the global random generators: Python's, NumPy's, TensorFlow's, Keras's.

    Not among them: the counters inside TensorFlow's stateful kernels (``tf.random.uniform``
    and its like), which nothing can read. Layers should draw through ``keras.random``.

    Returns:
        JSON values and arrays.

    Example:
        >>> states = generator_states()
        >>> drawn = random.random(), float(np.random.rand()), float(keras.random.uniform(()))
        >>> set_generator_states(states)
        >>> drawn == (random.random(), float(np.random.rand()), float(keras.random.uniform(())))
        True
    """
    import tensorflow as tf

    # Keras first: it may have to make its generator, for which it draws from Python's.
    states = {"keras": global_seed_generator().state.numpy(), "tensorflow": None}
    # Under tf.config.experimental.enable_op_determinism there is none until it is seeded.
    with suppress(RuntimeError):
        states["tensorflow"] = tf.random.get_global_generator().state.numpy()
    return {**states, "python": random.getstate(), "numpy": np.random.get_state(legacy=False)}


def set_generator_states(states: dict[str, Any]) -> None:
    """Set the global generators to what :func:`generator_states` returned."""
    import tensorflow as tf

    global_seed_generator().state.assign(states["keras"])
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(states["numpy"])
    if states["tensorflow"] is not None:
        with suppress(RuntimeError):
            tf.random.get_global_generator().reset(states["tensorflow"])
