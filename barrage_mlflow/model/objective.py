"""What training minimises and measures: losses, their weights, metrics, sample weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from barrage_mlflow.config.names import did_you_mean
from barrage_mlflow.errors import ComponentError, ConfigError, Fault
from barrage_mlflow.model.metrics import build_loss, build_metrics
from barrage_mlflow.model.names import listed
from barrage_mlflow.model.output import Output
from barrage_mlflow.model.placeholders import fill_model

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
        self._weighted: set[str] | None = None
        self._layer_logs = set(_layer_metrics(network.layers))
        _check_logs(self._logs(), self._layer_logs)

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
        names = {name for _, name in self._logs()} | self._layer_logs
        return names | {f"val_{name}" for name in names} | {"learning_rate"}

    def paths(self) -> dict[str, str]:
        """Returns the JSON path in the config of everything that the outputs log, by its name.

        Example:
            >>> x = keras.Input((4,), name="flower")
            >>> network = keras.Model({"flower": x}, {"y": keras.layers.Dense(1)(x)})
            >>> output = {"name": "y", "loss": {"import": "mse"}, "metrics": [{"import": "mae"}]}
            >>> config = {"model": {"network": {"import": "my.network"}, "outputs": [output]}}
            >>> Objective(config, network).paths()
            {'loss': '$.model', 'mae': '$.model.outputs[0].metrics[0]'}
        """
        return {name: path for path, name in self._logs()}

    def check_targets(self, y: Arrays | None, w: Arrays | None = None) -> None:
        """Finds out before training whether the loader's targets and weights can be used.

        Called before :meth:`compile`, it also settles which outputs have weights: metrics of
        the others are left unweighted, since some Keras metrics take no weights of some shapes.

        Args:
            y: targets by output, ``(batch, ...)``.
            w: sample weights by output, ``(batch,)`` or ``(batch, time)``; outputs may lack.

        Raises:
            ComponentError: names are not those of the outputs, or shapes do not fit.
        """
        self._check_loader_names(y, w)
        assert y is not None
        w = w or {}
        for name in self.outputs:
            self.check_output(name, y[name], w.get(name))
        self._weighted = set(w) | (self._weighted or set())

    def check_output(self, name: str, y: np.ndarray, w: np.ndarray | None = None) -> None:
        """Finds out whether the targets and weights of one output can be used.

        Args:
            name: of the output.
            y: its targets, ``(batch, ...)``.
            w: its sample weights, if it has any.

        Raises:
            ComponentError: a shape does not fit, or a target is out of range.
        """
        given = [np.asarray(array) for array in (y, w) if array is not None]
        # What is no number at all is left to feeding, which can name its record.
        if all(array.dtype.kind in "biuf" for array in given):
            output = self.outputs[name]
            output.check(given[0], w is not None)
            output.weights(w, output.conform(given[0]))

    def conform(
        self, y: Arrays | None, w: Arrays | None = None
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
        self._check_loader_names(y, w)
        assert y is not None
        late = set(w or ()) - self._weighted_names()
        if late:
            raise ComponentError(
                f"{_PATH}: expected no sample weights for {listed(late)}, of which the first "
                "train records had none, got some; let the loader give them for train records too"
            )
        y = {name: output.conform(np.asarray(y[name])) for name, output in self.outputs.items()}
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
        weighted = self._weighted_names()
        metrics = {name: output.metrics for name, output in self.outputs.items() if output.metrics}
        network.compile(
            optimizer=optimizer,
            loss={name: output.loss for name, output in self.outputs.items()},
            loss_weights={name: output.loss_weight for name, output in self.outputs.items()},
            metrics={name: metrics[name] for name in metrics if name not in weighted} or None,
            weighted_metrics={name: metrics[name] for name in metrics if name in weighted} or None,
            jit_compile=jit_compile,
        )

    def _weighted_names(self) -> set[str]:
        """The outputs that may have sample weights: all, as long as no targets were checked."""
        return set(self.outputs) if self._weighted is None else self._weighted

    def _logs(self) -> list[tuple[str, str]]:
        """The JSON path and the log name of everything that the outputs log."""
        logs = [("$.model", "loss")]
        several = len(self.outputs) > 1
        for name, output in self.outputs.items():
            prefix = f"{name}_" if several else ""
            if several:
                logs.append((f"{output.path}.loss", f"{name}_loss"))
            for place, metric in enumerate(output.metrics):
                logs.append((f"{output.path}.metrics[{place}]", f"{prefix}{metric.name}"))
        return logs

    def _check_loader_names(self, y: Arrays | None, w: Arrays | None) -> None:
        if y is None:
            raise ComponentError(
                f"$.dataset.loader: expected targets for {listed(self.outputs)}, got inputs alone; "
                "let the loader give (x, y) or (x, y, w) unless it is in SCORE mode"
            )
        for what, given in (("targets", y), ("sample weights", w or {})):
            unknown = [name for name in given if name not in self.outputs]
            if unknown or (given is y and len(y) < len(self.outputs)):
                hints = (did_you_mean(name, self.outputs) for name in unknown)
                remedy = next(filter(None, hints), f"name the {what} after the outputs")
                raise ComponentError(
                    f"$.dataset: expected {what} for the outputs {listed(self.outputs)} from "
                    f"loader and transformer, got {listed(given)}; {remedy}"
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
    )


def _check_names(outputs: list[Mapping[str, Any]], network: keras.Model) -> None:
    names = list(network.output)
    counts = Counter(output["name"] for output in outputs)
    faults = []
    for place, output in enumerate(outputs):
        name, path = output["name"], f"{_PATH}[{place}].name"
        if name not in names:
            remedy = did_you_mean(name, names) or "name the layer, or return the outputs as a dict"
            message = f"expected an output of the network ({listed(names)}), got '{name}'"
            faults.append(Fault(path, message, remedy))
        elif counts[name] > 1:
            faults.append(Fault(path, f"expected each name once, got '{name}' again", "remove one"))
    missing = [name for name in names if name not in counts]
    if missing:
        message = (
            f"expected an entry for each output of the network ({listed(names)}), "
            f"got none for {listed(missing)}"
        )
        faults.append(Fault(_PATH, message, "add it, or build the network without it"))
    if faults:
        raise ConfigError(faults)


def _check_logs(logs: list[tuple[str, str]], layer_logs: Iterable[str]) -> None:
    taken = {"learning_rate": "the learning rate", **dict.fromkeys(layer_logs, "a layer's metric")}
    faults = []
    for path, name in logs:
        other = taken.get(name) or taken.get(f"val_{name}")
        if other is None and name.startswith("val_"):
            other = taken.get(name.removeprefix("val_"))
        if other is not None:
            message = f"expected a log name of its own, got '{name}', which is that of {other}"
            faults.append(Fault(path, message, 'give the metric another "name" in its params'))
        taken.setdefault(name, path)
    if faults:
        raise ConfigError(faults)


def _layer_metrics(layers: Iterable[keras.layers.Layer]) -> list[str]:
    """Names of the layers' own metrics. Keras logs them too, but none of a nested network."""
    names: list[str] = []
    for layer in layers:
        if isinstance(layer, keras.Model):
            names += _layer_metrics(layer.layers)
        else:
            names += [metric.name for metric in layer.metrics]
    return names
