"""What training minimises and measures: losses, their weights, metrics, sample weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from barrage_mlflow.config.names import did_you_mean, show_names
from barrage_mlflow.config.placeholders import fill_model
from barrage_mlflow.dataset.feeding.conform import TargetRange
from barrage_mlflow.errors import ComponentError, ConfigError, Fault
from barrage_mlflow.model.metrics import build_loss, build_metrics
from barrage_mlflow.model.output import Output

Arrays = Mapping[str, np.ndarray]

_PATH = "$.model.outputs"


class Objective:
    """The ``model.outputs`` of a config, made for one network.

    Logs are named as Keras names them: ``loss`` and ``accuracy`` for a network of one output;
    ``loss``, ``species_loss`` and ``species_accuracy`` for one of several. Metrics count a
    record by its sample weight, so that a record of weight 0 counts nowhere.

    Args:
        config: a resolved config.
        network: as :func:`~barrage_mlflow.model.build_network` gives it.
        network_params: the fitted transformer's, for placeholders in losses and metrics.

    Attributes:
        outputs: of the network, by name, in the order of the config.
        paths: the JSON path in the config of everything that the outputs log, by its name.
        weighted: the outputs that may have sample weights; those that have, once targets were
            checked.

    Raises:
        ConfigError: output names of config and network differ, or two values would be logged
            under one name.
        ImportPathError: a loss or metric is not to be found.

    Example:
        >>> x = keras.Input((4,), name="flower")
        >>> network = keras.Model({"flower": x}, {"species": keras.layers.Dense(3)(x)})
        >>> output = {"name": "species", "loss": {"import": "mse"}, "metrics": [{"import": "mae"}]}
        >>> objective = Objective(
        ...     {"model": {"network": {"import": "my.network"}, "outputs": [output]}}, network
        ... )
        >>> sorted(objective.monitors())
        ['learning_rate', 'loss', 'mae', 'val_loss', 'val_mae']
        >>> objective.check_targets({"species": np.zeros((2, 3), "float32")})
        >>> objective.ranges
        {}
        >>> objective.compile(network, keras.optimizers.Adam())
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        network: keras.Model,
        network_params: Mapping[str, Any] | None = None,
    ) -> None:
        blocks = fill_model(config, network_params or {})["outputs"]
        _check_names(blocks, network)
        self.outputs = {
            block["name"]: _build_output(block, f"{_PATH}[{place}]", network.output[block["name"]])
            for place, block in enumerate(blocks)
        }
        self.weighted = set(self.outputs)
        self._layer_logs = [metric.name for metric in network.metrics]
        logs = _logs(self.outputs)
        _check_logs(logs, self._layer_logs)
        self.paths = {name: path for path, name in logs}

    def monitors(self) -> set[str]:
        """Returns every name that the logs of an epoch will have.

        Example:
            >>> x = keras.Input((4,), name="flower")
            >>> network = keras.Model({"flower": x}, {"y": keras.layers.Dense(1)(x)})
            >>> output = {"name": "y", "loss": {"import": "mse"}}
            >>> config = {"model": {"network": {"import": "my.network"}, "outputs": [output]}}
            >>> sorted(Objective(config, network).monitors())
            ['learning_rate', 'loss', 'val_loss']
        """
        names = {*self.paths, *self._layer_logs}
        return names | {f"val_{name}" for name in names} | {"learning_rate"}

    @property
    def ranges(self) -> dict[str, TargetRange]:
        """The outputs whose loss does not take every number as a target, and which it takes."""
        return {name: found for name, each in self.outputs.items() if (found := each.target_range)}

    def check_targets(self, y: Arrays, w: Arrays | None = None) -> None:
        """Finds out before training whether the loader's targets and weights can be used.

        Called before :meth:`compile`, it also settles which outputs have weights: metrics of
        the others are left unweighted, since some Keras metrics take no weights of some shapes.

        Args:
            y: targets by output, ``(batch, ...)``, numbers.
            w: sample weights by output, ``(batch,)`` or ``(batch, time)``; outputs may lack.

        Raises:
            ComponentError: names are not those of the outputs, or shapes do not fit.
        """
        w = w or {}
        self._check_loader_names(y, w)
        for name, output in self.outputs.items():
            output.check(y[name], name in w)
            output.weights(w.get(name), output.conform(y[name]))
        self.weighted = set(w)

    def conform(
        self, y: Arrays, w: Arrays | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
        """Gives targets and sample weights the shapes that the losses need.

        Args:
            y: targets by output, ``(batch, ...)``.
            w: sample weights by output: ``(batch,)`` or ``(batch, 1)``, with
                ``sample_weight_mode: "temporal"`` also ``(batch, time)``. An output that is left
                out gets ones.

        Returns:
            Targets by output, ``(batch, 1)`` where ``(batch,)`` was given for an output of that
            shape, and float32 weights by output, of the shape of the loss's values. Without any
            weights None takes their place, which counts every record alike.

        Raises:
            ComponentError: names or shapes do not fit.

        Example:
            >>> x = keras.Input((4,), name="flower")
            >>> network = keras.Model({"flower": x}, {"y": keras.layers.Dense(1)(x)})
            >>> output = {"name": "y", "loss": {"import": "mse"}}
            >>> config = {"model": {"network": {"import": "my.network"}, "outputs": [output]}}
            >>> y = {"y": np.zeros(3, "float32")}
            >>> y, w = Objective(config, network).conform(y, {"y": np.ones((3, 1))})
            >>> y["y"].shape, w["y"].shape
            ((3, 1), (3,))
        """
        self._check_loader_names(y, w or {})
        late = set(w or ()) - self.weighted
        if late:
            names = show_names(sorted(late))
            raise ComponentError(
                f"{_PATH}: expected no sample weights for {names}, of which the first "
                "train records had none, got some; let the loader give them for train records too"
            )
        y = {name: output.conform(y[name]) for name, output in self.outputs.items()}
        if not w:
            return y, None
        return y, {
            name: output.weights(w.get(name), y[name]) for name, output in self.outputs.items()
        }

    def compile(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        jit_compile: bool = False,
    ) -> None:
        """Sets losses, weights, metrics and optimizer on the network.

        Args:
            network: the one that the objective was made for.
            optimizer: as the solver builds it.
            jit_compile: whether XLA compiles the step. Keras would choose it by itself, although
                it compiles anew for every batch size.
        """
        measured: dict[str, list[keras.metrics.Metric]] = {}
        for output in self.outputs.values():
            for name, metric in output.metrics.items():
                metric.name = name  # Keras logs it by this name; its scope is needed no longer
                measured.setdefault(output.name, []).append(metric)
        network.compile(
            optimizer=optimizer,
            loss={name: output.loss for name, output in self.outputs.items()},
            loss_weights={name: output.loss_weight for name, output in self.outputs.items()},
            metrics={name: measured[name] for name in measured if name not in self.weighted},
            weighted_metrics={name: measured[name] for name in measured if name in self.weighted},
            jit_compile=jit_compile,
        )

    def _check_loader_names(self, y: Arrays, w: Arrays) -> None:
        for what, given in (("targets", y), ("sample weights", w)):
            unknown = [name for name in given if name not in self.outputs]
            if unknown or (given is y and len(y) < len(self.outputs)):
                hints = (did_you_mean(name, self.outputs) for name in unknown)
                remedy = next(filter(None, hints), f"name the {what} after the outputs")
                raise ComponentError(
                    f"$.dataset: expected {what} for the outputs {show_names(self.outputs)} from "
                    f"loader and transformer, got {show_names(given)}; {remedy}"
                )


def _build_output(block: Mapping[str, Any], path: str, tensor: keras.KerasTensor) -> Output:
    weight = block.get("loss_weight")
    return Output(
        block["name"],
        path,
        tensor.shape[1:],
        str(tensor.dtype),
        build_loss(block["loss"], f"{path}.loss"),
        build_metrics(block.get("metrics") or [], f"{path}.metrics"),
        block.get("sample_weight_mode") == "temporal",
        1.0 if weight is None else float(weight),
        block.get("class_weight"),
    )


def _check_names(outputs: list[Mapping[str, Any]], network: keras.Model) -> None:
    names = list(network.output)
    faults = []
    for place, output in enumerate(outputs):
        name = output["name"]
        if name not in names:
            remedy = did_you_mean(name, names) or "name the layer, or return the outputs as a dict"
            message = f"expected an output of the network ({show_names(names)}), got '{name}'"
            faults.append(Fault(f"{_PATH}[{place}].name", message, remedy))
    missing = set(names) - {output["name"] for output in outputs}
    if missing:
        message = (
            f"expected an entry for each output of the network ({show_names(names)}), "
            f"got none for {show_names(sorted(missing))}"
        )
        faults.append(Fault(_PATH, message, "add it, or build the network without it"))
    if faults:
        raise ConfigError(faults)


def _logs(outputs: Mapping[str, Output]) -> list[tuple[str, str]]:
    """The JSON path and the log name of everything that the outputs log."""
    logs = [("$.model", "loss")]
    several = len(outputs) > 1
    for name, output in outputs.items():
        if several:
            logs.append((f"{output.path}.loss", f"{name}_loss"))
        for place, metric in enumerate(output.metrics):
            log = f"{name}_{metric}" if several else metric
            logs.append((f"{output.path}.metrics[{place}]", log))
    return logs


def _check_logs(logs: Iterable[tuple[str, str]], layer_logs: Iterable[str]) -> None:
    """Refuse names that two values would be logged under, in training or in validation."""
    owners = {"learning_rate": "the learning rate", "epoch": "the number of the epoch"}
    faults = []
    for path, name in [*(("a layer's metric", name) for name in layer_logs), *logs]:
        names = [name, f"val_{name}"]
        owner = next((owners[each] for each in names if each in owners), None)
        if owner is not None and path.startswith("$"):
            message = f"expected a log name of its own, got '{name}', which is that of {owner}"
            faults.append(Fault(path, message, 'give the metric another "name" in its params'))
        owners = {**dict.fromkeys(names, path), **owners}
    if faults:
        raise ConfigError(faults)
