"""What a training is made of between two batches, apart from its data: taken down and put back."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from barrage_mlflow.errors import ArtifactError

Arrays = dict[str, np.ndarray]

_KERAS_CALLBACKS = (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau)
_KERAS_STATE = ("wait", "best", "best_epoch", "best_weights", "stopped_epoch", "cooldown_counter")
_ARRAYS = "__arrays__"


TRAINED = ("trainable", "optimizer")
"""Owners of variables that validation leaves alone."""
OWNERS = (*TRAINED, "non-trainable", "metrics")


def capture_variables(
    network: keras.Model, owners: Iterable[str] = OWNERS
) -> tuple[dict[str, Any], Arrays]:
    """Copy every variable of a compiled network, of its optimizer and of its metrics.

    The network's variables hold the states of its layers' seed generators, the optimizer's
    the learning rate and the count of steps, the metrics' what an epoch has added up so far.

    Args:
        network: compiled, its optimizer built.
        owners: whose variables to copy.

    Returns:
        What all variables are, as JSON values, and the arrays of those that were asked for.
    """
    shapes = {
        owner: [[variable.path, list(variable.shape), variable.dtype] for variable in variables]
        for owner, variables in _variables(network).items()
    }
    return shapes, copy_variables(network, owners)


def copy_variables(network: keras.Model, owners: Iterable[str]) -> Arrays:
    """Copy the variables of some owners, as :func:`capture_variables` does."""
    arrays: Arrays = {}
    for owner in owners:
        for index, variable in enumerate(_variables(network)[owner]):
            array = np.asarray(variable.numpy())
            # bfloat16 is no type of NumPy's own: its file format keeps the bits, not the name.
            arrays[f"{owner}/{index}"] = (
                array.view(f"u{array.itemsize}") if array.dtype.kind == "V" else array
            )
    return arrays


def restore_variables(
    network: keras.Model, shapes: dict[str, Any], arrays: Arrays, owners: Iterable[str] = OWNERS
) -> None:
    """Set the variables to what :func:`capture_variables` returned.

    Variables are matched by their order, since the names of layers depend on what else the
    process has built.

    Raises:
        ArtifactError: they are those of another network or optimizer; nothing was changed.
    """
    if not network.optimizer.built:
        network.optimizer.build(network.trainable_variables)
    wanted = {owner: _variables(network)[owner] for owner in owners}
    for owner, variables in wanted.items():
        _check_same(owner, variables, shapes[owner])
    for owner, variables in wanted.items():
        for index, variable in enumerate(variables):
            array = arrays[f"{owner}/{index}"]
            dtype = np.asarray(variable.numpy()).dtype
            variable.assign(array if array.dtype == dtype else array.view(dtype))


def _variables(network: keras.Model) -> dict[str, list[keras.Variable]]:
    return {
        "trainable": network.trainable_variables,
        "optimizer": network.optimizer.variables,
        "non-trainable": network.non_trainable_variables,
        "metrics": network.metrics_variables,
    }


def _check_same(owner: str, variables: Sequence[keras.Variable], saved: list[Any]) -> None:
    thing = owner if owner in ("optimizer", "metrics") else "network"
    kind = "" if thing == owner else f"{owner} "
    if len(saved) != len(variables):
        raise ArtifactError(
            f"the checkpoint is of another {thing}: it holds {len(saved)} {kind}variables, "
            f"the {thing} has {len(variables)}"
        )
    for variable, (path, shape, dtype) in zip(variables, saved, strict=True):
        if (list(variable.shape), variable.dtype) != (shape, dtype):
            raise ArtifactError(
                f"the checkpoint is of another {thing}: it holds {path!r} "
                f"{tuple(shape)} {dtype}, the {thing} has {variable.path!r} "
                f"{tuple(variable.shape)} {variable.dtype}"
            )


def capture_callbacks(
    callbacks: Iterable[keras.callbacks.Callback],
) -> tuple[list[Any], Arrays]:
    """Take down what callbacks remember.

    Of those that have ``get_state()`` and ``set_state(state)``, the state being a dict of JSON
    values and of lists of arrays; and of Keras's early stopping and
    learning rate reducer, whose memory is their public attributes.

    Returns:
        One ``[class name, state]`` a callback, as JSON values, and the arrays that they hold.
    """
    states: list[Any] = []
    arrays: Arrays = {}
    for callback in filter(_remembers, callbacks):
        state: dict[str, Any] = {}
        for key, value in _get_state(callback).items():
            if _is_arrays(value):
                state[key] = {_ARRAYS: len(value)}
                for index, array in enumerate(value):
                    arrays[f"callback/{len(states)}/{key}/{index}"] = array
            else:
                state[key] = value
        states.append([type(callback).__name__, state])
    return states, arrays


def restore_callbacks(
    callbacks: Iterable[keras.callbacks.Callback], states: list[Any], arrays: Arrays
) -> None:
    """Give callbacks back what :func:`capture_callbacks` returned.

    To be done after their ``on_train_begin``, which makes most of them forget.

    Raises:
        ArtifactError: they are not the callbacks that it was taken from; nothing was changed.
    """
    remembering = list(filter(_remembers, callbacks))
    saved, present = [name for name, _ in states], [type(item).__name__ for item in remembering]
    if saved != present:
        raise ArtifactError(
            "the checkpoint is of other callbacks: "
            f"it holds {', '.join(saved) or 'none'}, got {', '.join(present) or 'none'}"
        )
    for position, (callback, (_, state)) in enumerate(zip(remembering, states, strict=True)):
        values = {
            key: [arrays[f"callback/{position}/{key}/{n}"] for n in range(value[_ARRAYS])]
            if isinstance(value, dict) and _ARRAYS in value
            else value
            for key, value in state.items()
        }
        _set_state(callback, values)


def _remembers(callback: keras.callbacks.Callback) -> bool:
    return isinstance(callback, _KERAS_CALLBACKS) or _keeps_own_state(callback)


def _keeps_own_state(callback: keras.callbacks.Callback) -> bool:
    return hasattr(callback, "get_state") and hasattr(callback, "set_state")


def _is_arrays(value: Any) -> bool:
    return isinstance(value, list) and value != [] and all(isinstance(v, np.ndarray) for v in value)


def _get_state(callback: keras.callbacks.Callback) -> dict[str, Any]:
    if _keeps_own_state(callback):
        # It may hand out what it goes on changing, and the checkpoint is written later.
        state: dict[str, Any] = copy.deepcopy(callback.get_state())
        return state
    return {key: getattr(callback, key) for key in _KERAS_STATE if hasattr(callback, key)}


def _set_state(callback: keras.callbacks.Callback, state: dict[str, Any]) -> None:
    if _keeps_own_state(callback):
        callback.set_state(state)
        return
    for key, value in state.items():
        setattr(callback, key, value)
