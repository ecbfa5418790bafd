"""The solver section of a config: optimizer, learning rate schedule and reducer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from barrage_mlflow.config.import_blocks import build_import

if TYPE_CHECKING:
    import keras

_OPTIMIZER = "$.solver.optimizer"
_REDUCER = "$.solver.learning_rate_reducer"


def build_optimizer(config: Mapping[str, Any]) -> keras.optimizers.Optimizer:
    """Build the optimizer, with its learning rate or schedule.

    Args:
        config: a resolved config. ``solver.optimizer.learning_rate`` is a number or an import
            block of a schedule.

    Raises:
        ImportPathError: the import of the optimizer or the schedule leads nowhere.
        ComponentError: their params do not fit, or what they make is of another kind.

    Example:
        >>> optimizer = build_optimizer(
        ...     {"solver": {"optimizer": {"import": "Adam", "learning_rate": 0.5, "params": {}}}}
        ... )
        >>> float(optimizer.learning_rate)
        0.5
    """
    block = config["solver"]["optimizer"]
    rate = block["learning_rate"]
    if isinstance(rate, Mapping):
        rate = build_import(rate, "schedule", f"{_OPTIMIZER}.learning_rate")
    else:
        # Keras refuses an integer, and JSON makes 1 out of 1.0 in many a tool.
        rate = float(rate)
    params = {**block.get("params", {}), "learning_rate": rate}
    asked = {"import": block["import"], "params": params}
    optimizer: keras.optimizers.Optimizer = build_import(asked, "optimizer", _OPTIMIZER)
    # A process alone has nothing to add up, and TensorFlow keeps for ever what it would make to
    # derive the sum: the graph of each training, some megabytes.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner._all_reduce_sum_gradients = lambda gradients: gradients
    return optimizer


def averages(optimizer: keras.optimizers.Optimizer) -> list[tuple[Any, Any]]:
    """Pair the variables that an optimizer trains with the averages that it keeps (``use_ema``).

    Args:
        optimizer: its variables are made.

    Returns:
        Each trained variable with the variable that holds its average; empty where none is kept.

    Example:
        >>> import keras
        >>> weight = keras.Variable([1.0])
        >>> optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.75)
        >>> optimizer.build([weight])
        >>> for gradient in (0.0, 4.0):
        ...     optimizer.apply([keras.ops.array([gradient])])
        >>> [[each.numpy().tolist() for each in pair] for pair in averages(optimizer)]
        [[[-1.0], [0.5]]]
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    if not optimizer.use_ema:
        return []
    # Keras's own SwapEMAWeights has no other way to them.
    kept = optimizer._model_variables_moving_average
    pairs = zip(optimizer._trainable_variables, kept, strict=True)
    return [(variable, average) for variable, average in pairs if average is not None]


def build_learning_rate_reducer(
    config: Mapping[str, Any],
) -> keras.callbacks.ReduceLROnPlateau | None:
    """Build the callback that lowers the learning rate when a metric no longer improves.

    Args:
        config: a resolved config. The keys of ``solver.learning_rate_reducer`` are the
            arguments of ``keras.callbacks.ReduceLROnPlateau``.

    Returns:
        ``None`` if the config asks for none.

    Raises:
        ComponentError: values that the callback refuses.

    Example:
        >>> build_learning_rate_reducer({"solver": {}}) is None
        True
        >>> reducer = {"monitor": "val_loss", "mode": "min", "patience": 3, "factor": 0.5}
        >>> build_learning_rate_reducer({"solver": {"learning_rate_reducer": reducer}}).patience
        3
    """
    params = config["solver"].get("learning_rate_reducer")
    if params is None:
        return None
    return build_import({"import": "ReduceLROnPlateau", "params": params}, "callback", _REDUCER)
