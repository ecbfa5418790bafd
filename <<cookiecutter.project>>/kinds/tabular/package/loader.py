"""The loader: a record as it stands in the data, to arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from barrage_mlflow.dataset import DataRecord, Record, RecordLoader, RecordMode, Records

# change here: the columns that hold numbers, those that hold words, and the two to be told
NUMBERS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "year")
CATEGORIES = ("island", "sex")
SPECIES = "species"
BODY_MASS = "body_mass_g"


class Loader(RecordLoader):
    """Loads a row of numbers and categories, any of which may be missing.

    Inputs: ``numbers`` (number,) float64, NaN where missing; each of the categories () str, empty
    where missing. Outputs, but for scoring: ``species`` () str and ``body_mass`` () float64. A row
    whose mass is missing has sample weight 0 on that output: it still teaches its species.
    """

    def load(self, record: Record) -> DataRecord:
        """Load one record; the class says what comes out."""
        x = {"numbers": np.array([_number(record[name]) for name in NUMBERS])}
        x |= {name: np.array(_text(record[name]), object) for name in CATEGORIES}
        if self.mode is RecordMode.SCORE:
            return (x,)  # a record to score has no targets: read none before this line
        # change here: what is learnt, by the names of the network's outputs
        mass = _number(record[BODY_MASS])
        y = {
            "species": np.array(_text(record[SPECIES]), object),
            "body_mass": np.array(0.0 if math.isnan(mass) else mass),
        }
        return x, y, {"body_mass": np.array(0.0 if math.isnan(mass) else 1.0)}

    def load_batch(self, records: Records) -> DataRecord:
        """Load many records: the same arrays, with a leading axis ``batch``.

        It may be deleted: ``load`` is then called for each record, which is slower.
        """
        x = {"numbers": np.stack([_numbers(records[name]) for name in NUMBERS], axis=1)}
        x |= {name: _texts(records[name]) for name in CATEGORIES}
        if self.mode is RecordMode.SCORE:
            return (x,)
        mass = _numbers(records[BODY_MASS])
        missing = np.isnan(mass)
        y = {"species": _texts(records[SPECIES]), "body_mass": np.where(missing, 0.0, mass)}
        return x, y, {"body_mass": np.where(missing, 0.0, 1.0)}

    def columns_of(self, name: str) -> list[str]:
        """Name the columns that an input or output is made of, for error messages."""
        columns = {"numbers": NUMBERS, "missing": NUMBERS, "body_mass": (BODY_MASS,)}
        return list(columns.get(name, (name,)))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _numbers(column: np.ndarray) -> np.ndarray:
    return np.asarray(column, dtype=float)


def _text(value: Any) -> str:
    # NaN, which alone differs from itself, is what a column without any text holds.
    return "" if value is None or value != value else str(value)


def _texts(column: np.ndarray) -> np.ndarray:
    return np.array([_text(value) for value in column.tolist()], object)
