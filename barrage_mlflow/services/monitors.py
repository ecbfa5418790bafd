"""Checks the metrics that services watch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from barrage_mlflow.config.names import suggest
from barrage_mlflow.errors import ConfigError, Fault

if TYPE_CHECKING:
    from barrage_mlflow.config import Document


def _any(name: str) -> bool:
    return True


def _train(name: str) -> bool:
    return not name.startswith("val_")


def _validation(name: str) -> bool:
    return name.startswith("val_")


_WATCHERS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("solver", "learning_rate_reducer", _any),
    ("services", "best_checkpoint", _validation),
    ("services", "train_early_stopping", _train),
    ("services", "validation_early_stopping", _validation),
)


def check_monitors(
    config: Mapping[str, Any], known: Collection[str], document: Document | None = None
) -> None:
    """Check that every monitor of the services and of the reducer is a metric of the training.

    Args:
        config: a resolved config.
        known: names of all metrics that an epoch's logs will hold.
        document: where the config came from, for the place of a fault.

    Raises:
        ConfigError: a monitor that no output produces; each with the nearest name that does.

    Example:
        >>> config = {
        ...     "solver": {},
        ...     "services": {
        ...         "best_checkpoint": {"monitor": "val_acuracy", "mode": "max"},
        ...         "train_early_stopping": {"monitor": "loss"},
        ...         "validation_early_stopping": {"monitor": "val_loss"},
        ...     },
        ... }
        >>> check_monitors(config, {"loss", "val_loss", "accuracy", "val_accuracy"})
        Traceback (most recent call last):
        barrage_mlflow.errors.ConfigError: $.services.best_checkpoint.monitor: no output produces
        the metric 'val_acuracy'; did you mean 'val_accuracy'?
    """
    faults = []
    for section, block, suits in _WATCHERS:
        monitor = config[section].get(block, {}).get("monitor")
        if monitor is None or monitor in known:
            continue
        choices = sorted(filter(suits, known))
        faults.append(
            Fault(
                f"$.{section}.{block}.monitor",
                f"no output produces the metric {monitor!r}",
                suggest(monitor, choices, "metrics"),
                document.place((section, block, "monitor")) if document else "",
            )
        )
    if faults:
        raise ConfigError(faults)
