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
from barrage_mlflow.model.placeholders import fill_model
from barrage_mlflow.model.targets import OutputTargets

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
        outputs = fill_model(config, network_params or {})["outputs"]
        _check_names(outputs, network)
        self.losses: dict[str, keras.losses.Loss] = {}
        self.loss_weights: dict[str, float] = {}
        self.metrics: dict[str, list[keras.metrics.Metric]] = {}
        self._targets: dict[str, OutputTargets] = {}
        for place, output in enumerate(outputs):
            name, path = output["name"], f"{_PATH}[{place}]"
            self.losses[name] = build_loss(output["loss"], f"{path}.loss")
            weight = output.get("loss_weight")
            self.loss_weights[name] = 1.0 if weight is None else float(weight)
            self.metrics[name] = build_metrics(output.get("metrics") or [], f"{path}.metrics")
            tensor = network.output[name]
            self._targets[name] = OutputTargets(
                name,
                path,
                tensor.shape[1:],
                str(tensor.dtype),
                self.losses[name],
                self.metrics[name],
                output.get("sample_weight_mode") == "temporal",
            )
        self._weighted: set[str] | None = None
        self._layer_logs = set(_layer_metrics(network.layers))
        _check_logs(self._logs(), self._layer_logs)

    def monitors(self) -> set[str]:
        """Returns every name that the logs of an epoch will hold.

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
        for name in self._targets:
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
            targets = self._targets[name]
            targets.check(given[0], w is not None)
            targets.weights(w, targets.conform(given[0]))

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
        late = set(w or ()) - (set(self.losses) if self._weighted is None else self._weighted)
        if late:
            raise ComponentError(
                f"{_PATH}: expected no sample weights for {listed(late)}, of which the first "
                "train records had none, got some; let the loader give them for train records too"
            )
        y = {name: targets.conform(np.asarray(y[name])) for name, targets in self._targets.items()}
        if not w:
            return y, None
        return y, {
            name: targets.weights(w.get(name), y[name]) for name, targets in self._targets.items()
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
        weighted = set(self.losses) if self._weighted is None else self._weighted
        metrics = {name: list(metrics) for name, metrics in self.metrics.items() if metrics}
        network.compile(
            optimizer=optimizer,
            loss=dict(self.losses),
            loss_weights=dict(self.loss_weights),
            metrics={name: metrics[name] for name in metrics if name not in weighted} or None,
            weighted_metrics={name: metrics[name] for name in metrics if name in weighted} or None,
            jit_compile=jit_compile,
        )

    def _logs(self) -> list[tuple[str, str]]:
        """The JSON path and the log name of everything that the outputs log."""
        logs = [("$.model", "loss")]
        several = len(self.losses) > 1
        for place, (name, metrics) in enumerate(self.metrics.items()):
            prefix = f"{name}_" if several else ""
            if several:
                logs.append((f"{_PATH}[{place}].loss", f"{name}_loss"))
            logs.extend(
                (f"{_PATH}[{place}].metrics[{i}]", f"{prefix}{metric.name}")
                for i, metric in enumerate(metrics)
            )
        return logs

    def _check_loader_names(self, y: Arrays | None, w: Arrays | None) -> None:
        if y is None:
            raise ComponentError(
                f"$.dataset.loader: expected targets for {listed(self.losses)}, got inputs alone; "
                "let the loader give (x, y) or (x, y, w) unless it is in SCORE mode"
            )
        unknown = [name for name in y if name not in self.losses]
        if unknown or len(y) < len(self.losses):
            hints = [did_you_mean(name, self.losses) for name in unknown]
            remedy = next(filter(None, hints), "name the targets after the outputs")
            raise ComponentError(
                f"$.dataset: expected targets for the outputs {listed(self.losses)} from loader "
                f"and transformer, got {listed(y)}; {remedy}"
            )
        unknown = [name for name in w or () if name not in self.losses]
        if unknown:
            remedy = did_you_mean(unknown[0], self.losses) or "name the weights after the outputs"
            raise ComponentError(
                f"$.dataset: expected sample weights for the outputs {listed(self.losses)} from "
                f"loader and transformer, got {listed(w or ())}; {remedy}"
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
    """Names of metrics that layers hold. Keras logs them too, but none of a nested network."""
    names: list[str] = []
    for layer in layers:
        if isinstance(layer, keras.Model):
            names += _layer_metrics(layer.layers)
        else:
            names += [metric.name for metric in layer.metrics]
    return names
