"""Trainings that several processes share: each by its name, as a config and its records."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd

from barrage_mlflow import RecordLoader

RECORDS = 161
"""With batches of 20 records the last one has a single record."""


def frame(records: int = RECORDS, seed: int = 0) -> pd.DataFrame:
    """Columns a, b, kind, sum, label, count and words."""
    generator = np.random.default_rng(seed)
    table = pd.DataFrame(generator.normal(size=(records, 2)), columns=["a", "b"])
    table["kind"] = generator.choice(["x", "y", "z"], records)
    table["sum"] = table["a"] - 2 * table["b"] + (table["kind"] == "x")
    table["label"] = (table["a"] + table["b"] > 0).astype("int64")
    table["count"] = generator.integers(0, 3, records)
    words = [generator.choice(["red", "green", "blue"], 3) for _ in range(records)]
    table["words"] = [" ".join(each) for each in words]
    return table


class Squares(RecordLoader):
    """Makes pictures of a record, one at a time, with targets and sample weights."""

    def load(self, record: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        size = np.arange(36, dtype="float32").reshape(6, 6, 1) / 36
        x = {"picture": np.cos(size * record["a"]) + size * record["b"]}
        if self.mode.value == "score":
            return (x,)
        y = {"sum": np.float32(record["sum"]), "label": record["label"]}
        return x, y, {name: np.float32(0.5 + record["label"]) for name in y}


def brighten(data_record: Any, rng: np.random.Generator) -> Any:
    x, *rest = data_record
    return ({"picture": x["picture"] + rng.normal(size=(1, 1, 1)).astype("float32")}, *rest)


def convnet(dtype: str = "float32", dropout: float = 0.0) -> keras.Model:
    """Two outputs behind batch normalization and a regularizer."""
    picture = keras.Input((6, 6, 1), name="picture")
    hidden = keras.layers.Conv2D(4, 3, use_bias=False, kernel_regularizer="l2", dtype=dtype)(
        picture
    )
    hidden = keras.layers.BatchNormalization(dtype=dtype)(hidden)
    hidden = keras.layers.Flatten()(keras.layers.ReLU()(hidden))
    hidden = keras.layers.Dropout(dropout)(hidden)
    outputs = {
        "sum": keras.layers.Dense(1, name="sum", dtype="float32")(hidden),
        "label": keras.layers.Dense(2, "softmax", name="label", dtype="float32")(hidden),
    }
    return keras.Model({"picture": picture}, outputs)


def open_network() -> keras.Model:
    """Takes any number of values a record."""
    values = keras.Input((None,), name="x")
    hidden = keras.layers.Conv1D(4, 2)(keras.layers.Reshape((-1, 1))(values))
    hidden = keras.layers.GlobalAveragePooling1D()(hidden)
    return keras.Model({"x": values}, {"sum": keras.layers.Dense(1, name="sum")(hidden)})


def dense(dropout: float = 0.0) -> keras.Model:
    x = keras.Input((2,), name="x")
    hidden = keras.layers.Dropout(dropout)(keras.layers.Dense(8, "tanh")(x))
    return keras.Model({"x": x}, {"sum": keras.layers.Dense(1, name="sum")(hidden)})


def halve_rate() -> keras.callbacks.Callback:
    """Changes the network between two epochs, and stops the training after the third."""

    class Change(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            first = self.model.trainable_variables[0]
            first.assign(first * 0.5)
            self.model.optimizer.learning_rate = 0.001
            self.model.stop_training = epoch == 2

    return Change()


def every_other() -> keras.callbacks.Callback:
    """Changes the network after every second batch."""

    class Shrink(keras.callbacks.Callback):
        batch_period = 2

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch % 2:
                last = self.model.trainable_variables[-1]
                last.assign(last * 0.9)

    return Shrink()


def _output(name: str, loss: str, metric: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "loss": {"import": loss}, "metrics": [{"import": metric}], **more}


def _config(network: dict[str, Any], outputs: list[Any], **sections: Any) -> dict[str, Any]:
    solver = {"batch_size": 20, "epochs": 3, **sections.pop("solver", {})}
    services = {"best_checkpoint": {"monitor": "val_loss", "mode": "min"}}
    services |= sections.pop("services", {})
    dataset = {"seed": 7, **sections.pop("dataset")}
    model = {"network": network, "outputs": outputs}
    return {"dataset": dataset, "model": model, "solver": solver, "services": services}


def _keys(*columns: str, **dataset: Any) -> dict[str, Any]:
    params = {"inputs": {"x": [*columns]}, "outputs": {"sum": "sum"}}
    return {"loader": {"import": "KeySelector", "params": params}, **dataset}


def _features(body: str, features: dict[str, str], **params: Any) -> dict[str, Any]:
    dataset = {
        "loader": {
            "import": "FeatureLoader",
            "params": {"features": features, "targets": {"sum": "number"}},
        },
        "transformer": {"import": "FeatureTransformer"},
    }
    network = {
        "import": "barrage_mlflow.model.feature_network",
        "params": {"body": body, "units": [16], "dropout": 0.0, **params},
    }
    return _config(network, [_output("sum", "mse", "mae")], dataset=dataset)


def _convnet(**params: Any) -> dict[str, Any]:
    dataset = {
        "loader": {"import": "group_cases.Squares"},
        "augmentor": [{"import": "group_cases.brighten"}],
        "sample_count": "count",
        "workers": 1,
    }
    outputs = [
        _output("sum", "mse", "mae", loss_weight=0.5),
        _output("label", "sparse_categorical_crossentropy", "accuracy", loss_weight=1.0),
    ]
    outputs[1]["class_weight"] = "balanced"
    network = {"import": "group_cases.convnet", "params": params}
    return _config(network, outputs, dataset=dataset)


def _dense(
    dataset: Any = None, network: str = "group_cases.dense", **sections: Any
) -> dict[str, Any]:
    return _config(
        {"import": network, "params": sections.pop("params", {})},
        [_output("sum", "mse", "mae")],
        dataset=dataset or _keys("a", "b"),
        **sections,
    )


def _optimizer(name: str, rate: Any = 0.01, **params: Any) -> dict[str, Any]:
    return {"optimizer": {"import": name, "learning_rate": rate, "params": params}}


def _cases() -> dict[str, dict[str, Any]]:
    numbers = {"a": "number", "b": "number", "kind": "category"}
    cosine = {"import": "CosineDecay", "params": {"initial_learning_rate": 0.05, "decay_steps": 20}}
    reducer = {"monitor": "val_loss", "mode": "min", "patience": 0, "factor": 0.5, "min_delta": 1}
    plain = {"text": {"encoder": "pooled", "dropout": 0.0}}
    stopping = {"monitor": "loss", "mode": "min", "patience": 1, "min_delta": 1.0}
    changing = [{"import": "group_cases.halve_rate"}, {"import": "group_cases.every_other"}]
    clipped = _optimizer("Adam", clipnorm=0.1, use_ema=True, gradient_accumulation_steps=3)
    return {
        "mlp": _features("mlp", numbers, numbers="piecewise_linear"),
        "text": _features("mlp", {"words": "text", "a": "number"}, encoders=plain),
        "convnet": _convnet(),
        "half": _convnet(dtype="mixed_float16"),
        "clipped": _dense(solver=clipped),
        "schedule": _dense(solver={**_optimizer("SGD", cosine), "steps": 7}),
        "reducer": _dense(
            solver={**_optimizer("RMSprop"), "learning_rate_reducer": reducer, "epochs": 9},
            services={"train_early_stopping": stopping},
        ),
        "callbacks": _dense(solver={"epochs": 5}, services={"callbacks": changing}),
        "streamed": _dense(_keys("a", "b", shuffle_window=60, sample_count="count")),
        "open": _dense(_keys("a", "b"), network="group_cases.open_network"),
        "dropout": _dense(params={"dropout": 0.4}),
    }


CASES = _cases()


def masked() -> keras.Model:
    """Passes a mask on to its output."""
    words = keras.Input((3,), dtype="int32", name="words")
    hidden = keras.layers.Embedding(9, 4, mask_zero=True)(words)
    return keras.Model({"words": words}, {"next": keras.layers.Dense(1, name="next")(hidden)})


class Joined(keras.losses.Loss):
    """Compares the records of a batch with each other."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        error = keras.ops.mean(keras.ops.square(y_true - y_pred))
        return keras.ops.reshape(error, (1,))


class Largest(keras.metrics.Metric):
    """Keeps what is no sum."""

    def __init__(self, name: str = "largest") -> None:
        super().__init__(name=name)
        self.most = self.add_variable((), "zeros", aggregation="only_first_replica", name="most")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.most.assign(keras.ops.maximum(self.most, keras.ops.max(y_pred)))

    def result(self) -> Any:
        return self.most


def _unshareable() -> dict[str, Any]:
    dataset = {
        "loader": {
            "import": "KeySelector",
            "params": {
                "inputs": {"x": ["a", "b"], "words": "words"},
                "outputs": {"sum": "sum", "label": "label", "next": "next"},
            },
        }
    }
    outputs = [
        _output("sum", "mse", "group_cases.Largest", loss_weight=1.0),
        _output("label", "group_cases.Joined", "mae", loss_weight=1.0),
        _output("next", "mae", "mse", loss_weight=1.0),
    ]
    outputs[0]["loss"] = {"import": "MeanSquaredError", "params": {"reduction": "sum"}}
    solver = {"batch_size": 1, "jit_compile": True}
    return _config({"import": "group_cases.all_of_them"}, outputs, dataset=dataset, solver=solver)


def all_of_them() -> keras.Model:
    """A network of three outputs, each with something that processes cannot share."""
    x, words = keras.Input((2,), name="x"), masked()
    outputs = {
        "sum": keras.layers.Dense(1, name="sum")(x),
        "label": keras.layers.Dense(1, name="label")(x),
        **words.output,
    }
    return keras.Model({"x": x, **words.input}, outputs)


UNSHAREABLE = _unshareable()
"""A config of which every part is refused where several processes train."""
