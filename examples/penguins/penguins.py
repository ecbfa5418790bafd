"""The penguins' own components: what ``config.json`` imports beside the built-ins.

A penguin's species and body mass are told from its other columns. Some values are missing, as
some birds got away; each step below says what it makes of those.

Loader and transformer have a record form, the one to read first, and a batch form that makes the
same arrays of many records at once.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset import (
    DataRecord,
    Record,
    RecordLoader,
    RecordMode,
    Records,
    RecordScore,
    RecordTransformer,
)

if TYPE_CHECKING:
    import keras

MEASUREMENTS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "year")
CATEGORIES = ("island", "sex")


class PenguinLoader(RecordLoader):
    """Loads a penguin as it was written down.

    Inputs: ``measurements`` (4,) float64, NaN where missing; ``island`` and ``sex`` () str, empty
    where missing. Outputs, but for scoring: ``species`` () str and ``body_mass`` () float64 in
    grams. A bird that was not weighed has mass 0 and, on that output, weight 0: it still teaches
    its species.

    Example:
        >>> loader = PenguinLoader(RecordMode.SCORE)
        >>> bird = {"bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181}
        >>> (x,) = loader.load(bird | {"year": 2007, "island": "Torgersen", "sex": None})
        >>> x["measurements"]
        array([  39.1,   18.7,  181. , 2007. ])
    """

    def load(self, record: Record) -> DataRecord:
        """Load one record; the class says what comes out."""
        x = {
            "measurements": np.array([_number(record[name]) for name in MEASUREMENTS]),
            **{name: np.array(_text(record[name]), object) for name in CATEGORIES},
        }
        if self.mode is RecordMode.SCORE:
            return (x,)
        mass = _number(record["body_mass_g"])
        weighed = not math.isnan(mass)
        y = {
            "species": np.array(_text(record["species"]), object),
            "body_mass": np.array(mass if weighed else 0.0),
        }
        return x, y, {"body_mass": np.array(float(weighed))}

    def load_batch(self, records: Records) -> DataRecord:
        """Load many records: the same arrays, with a leading axis ``batch``."""
        x = {
            "measurements": np.stack([_numbers(records[name]) for name in MEASUREMENTS], axis=1),
            **{name: _texts(records[name]) for name in CATEGORIES},
        }
        if self.mode is RecordMode.SCORE:
            return (x,)
        mass = _numbers(records["body_mass_g"])
        weighed = ~np.isnan(mass)
        y = {"species": _texts(records["species"]), "body_mass": np.where(weighed, mass, 0.0)}
        return x, y, {"body_mass": weighed.astype(float)}

    def columns_of(self, name: str) -> list[str]:
        """Name the columns that an input or output is made of, for error messages."""
        if name in ("measurements", "missing"):
            return list(MEASUREMENTS)
        return ["body_mass_g"] if name == "body_mass" else [name]


class PenguinTransformer(RecordTransformer):
    """Normalises measurements and mass, numbers the categories, and undoes it in the scores.

    ``transform`` puts the mean where a measurement is missing and says so in one more input,
    ``missing`` (4,) float32. Islands and sexes are numbered from 1 in alphabetical order; 0 stands
    for a missing value and for one that no train record holds. Species are numbered from 0.

    The config's network params take the number of each from the placeholders
    ``{{island_count}}`` and ``{{sex_count}}``, 0 included, and ``{{species_count}}``.
    """

    network_param_names = ("island_count", "sex_count", "species_count")

    def fit(self, records: Records) -> None:
        """Learn means, standard deviations and categories from the values that are present.

        Raises:
            ValueError: a column holds no value at all.
        """
        x, y, weights = self.loader.load_batch(records)
        columns = dict(zip(MEASUREMENTS, x["measurements"].T, strict=True))
        columns["body_mass_g"] = np.where(weights["body_mass"] > 0, y["body_mass"], np.nan)
        empty = [name for name, values in columns.items() if np.isnan(values).all()]
        if empty:
            raise ValueError(f"no train record has a value in {', '.join(empty)}")
        self._set(
            {name: float(np.nanmean(values)) for name, values in columns.items()},
            # A column that never varies must not divide by zero.
            {name: float(np.nanstd(values)) or 1.0 for name, values in columns.items()},
            {
                name: [value for value in np.unique(values).tolist() if value]
                for name, values in {**x, **y}.items()
                if name in {*CATEGORIES, "species"}
            },
        )

    def _set(
        self,
        means: dict[str, float],
        deviations: dict[str, float],
        categories: dict[str, list[str]],
    ) -> None:
        self._learnt = {"means": means, "deviations": deviations, "categories": categories}
        self._mean = np.array([means[name] for name in MEASUREMENTS])
        self._deviation = np.array([deviations[name] for name in MEASUREMENTS])
        self._mass_mean, self._mass_deviation = means["body_mass_g"], deviations["body_mass_g"]
        self._species = np.array(categories["species"], dtype=object)
        self._codes = {
            name: {value: code for code, value in enumerate(values, start=name in CATEGORIES)}
            for name, values in categories.items()
        }
        self.network_params = {
            f"{name}_count": len(codes) + (name in CATEGORIES)
            for name, codes in self._codes.items()
        }

    def transform(self, data_record: DataRecord) -> DataRecord:
        """Transform one record.

        Raises:
            ValueError: no train record is of this species, or the record has none.
        """
        x, *targets = data_record
        measurements, missing = self._normalise(x["measurements"])
        transformed = {
            "measurements": measurements,
            "missing": missing,
            **{name: np.array(self._code(name, x[name].item()), np.int32) for name in CATEGORIES},
        }
        if not targets:
            return (transformed,)
        y, weights = targets
        species = np.array(self._code("species", y["species"].item()), np.int32)
        return transformed, {"species": species, "body_mass": self._mass(y, weights)}, weights

    def transform_batch(self, data_record: DataRecord) -> DataRecord:
        """Transform many records: the same arrays, with a leading axis ``batch``."""
        x, *targets = data_record
        measurements, missing = self._normalise(x["measurements"])
        transformed = {
            "measurements": measurements,
            "missing": missing,
            **{name: self._code_all(name, x[name]) for name in CATEGORIES},
        }
        if not targets:
            return (transformed,)
        y, weights = targets
        species = self._code_all("species", y["species"])
        return transformed, {"species": species, "body_mass": self._mass(y, weights)}, weights

    def _normalise(self, measurements: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Works on (4,) and on (batch, 4) alike.
        missing = np.isnan(measurements)
        normal = np.where(missing, 0.0, (measurements - self._mean) / self._deviation)
        return normal.astype(np.float32), missing.astype(np.float32)

    def _mass(self, y: dict[str, np.ndarray], weights: dict[str, np.ndarray]) -> np.ndarray:
        normal = (y["body_mass"] - self._mass_mean) / self._mass_deviation
        return np.where(weights["body_mass"] > 0, normal, 0.0).astype(np.float32)

    def _code(self, name: str, value: str) -> int:
        code = self._codes[name].get(value)
        if code is not None:
            return code
        if name in CATEGORIES:
            return 0
        if not value:
            raise ValueError(f"no {name}, which every train and validation record must have")
        known = ", ".join(self._codes[name])
        raise ValueError(f"{name} {value!r} is in no train record; the train records hold {known}")

    def _code_all(self, name: str, values: np.ndarray) -> np.ndarray:
        distinct, positions = np.unique(values, return_inverse=True)
        codes = np.array([self._code(name, value) for value in distinct.tolist()], np.int32)
        return codes[positions]

    def postprocess(self, score: RecordScore) -> RecordScore:
        """Name the most probable species, with its probability, and tell the mass in grams.

        Args:
            score: ``species`` (species,) float32 and ``body_mass`` (1,) float32 of one record.
        """
        code = int(np.argmax(score["species"]))
        return {
            "species": self._species[code],
            "species_probability": float(score["species"][code]),
            "body_mass_g": float(score["body_mass"][0]) * self._mass_deviation + self._mass_mean,
        }

    def targets(self, y: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Name what is true as the answer names it; both are loaded in the answer's units."""
        return {"species": y["species"], "body_mass_g": y["body_mass"]}

    def postprocess_batch(self, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Do the same for many records, in arrays (batch,)."""
        mass = scores["body_mass"][:, 0].astype(float)
        return {
            "species": self._species[np.argmax(scores["species"], axis=1)],
            "species_probability": scores["species"].max(axis=1).astype(float),
            "body_mass_g": mass * self._mass_deviation + self._mass_mean,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what ``fit`` learnt to ``penguins.json`` in the folder."""
        text = json.dumps(self._learnt, indent=2, ensure_ascii=False)
        Path(path, "penguins.json").write_text(text + "\n", "utf-8")

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what ``save`` wrote."""
        self._set(**json.loads(Path(path, "penguins.json").read_text("utf-8")))


def jitter(data_record: DataRecord, rng: np.random.Generator, scale: float = 0.05) -> DataRecord:
    """Augment: add Gaussian noise to the measurements that are there.

    Args:
        data_record: as transformed.
        rng: given by the engine, keyed by seed, epoch and draw.
        scale: standard deviation of the noise, in those of the measurements.

    Example:
        >>> x = {"measurements": np.zeros(4, np.float32), "missing": np.array([0, 0, 0, 1])}
        >>> (noisy,) = jitter((x,), np.random.default_rng(0))
        >>> noisy["measurements"]
        array([ 0.00628651, -0.00660524,  0.03202113,  0.        ], dtype=float32)
    """
    x, *targets = data_record
    noise = rng.normal(0.0, scale, x["measurements"].shape) * (1 - x["missing"])
    return ({**x, "measurements": (x["measurements"] + noise).astype(np.float32)}, *targets)


def build_network(islands: int, sexes: int, species: int, units: int = 32) -> keras.Model:
    """Build the network: one hidden layer, with a way around it.

    Body mass is nearly linear in the measurements; the way around lets the outputs see them
    directly, and the hidden layer add what is not linear.

    Args:
        islands: number of island codes.
        sexes: number of sex codes.
        species: number of species.
        units: width of the hidden layer.

    Returns:
        From ``measurements`` and ``missing`` (batch, 4) float32, ``island`` and ``sex`` (batch,)
        int32 to ``species`` (batch, species) and ``body_mass`` (batch, 1) float32.
    """
    # Here, so that who loads and transforms records need not load Keras too.
    import keras

    layers = keras.layers
    inputs = {
        "measurements": keras.Input((len(MEASUREMENTS),), name="measurements"),
        "missing": keras.Input((len(MEASUREMENTS),), name="missing"),
        "island": keras.Input((), dtype="int32", name="island"),
        "sex": keras.Input((), dtype="int32", name="sex"),
    }

    def embed(name: str, count: int) -> Any:
        # From zero: a code that training never sees then stays without effect.
        return layers.Embedding(count, 2, embeddings_initializer="zeros")(inputs[name])

    features = layers.Concatenate()(
        [inputs["measurements"], inputs["missing"], embed("island", islands), embed("sex", sexes)]
    )
    hidden = layers.Dense(units, activation="relu")(features)
    around = layers.Concatenate()([features, hidden])
    outputs = {
        "species": layers.Dense(species, activation="softmax", name="species")(around),
        "body_mass": layers.Dense(1, name="body_mass")(around),
    }
    return keras.Model(inputs, outputs)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _numbers(column: np.ndarray) -> np.ndarray:
    return np.asarray(column, dtype=float)


def _text(value: Any) -> str:
    # NaN, which alone differs from itself, is what a column without any text holds.
    return "" if value is None or value != value else str(value)


def _texts(column: np.ndarray) -> np.ndarray:
    return np.array([_text(value) for value in column.tolist()], object)
