"""The loader: a record as it stands in the data, to arrays."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from barrage_mlflow.dataset import DataRecord, Record, RecordLoader, RecordMode, Records
from barrage_mlflow.errors import RecordError

# change here: the column that says when the forecast begins
DATE = "date"


class Loader(RecordLoader):
    """Loads one window: past values of each series, and the values to forecast.

    Inputs: ``series`` (time, series) float64, oldest first, NaN where a value is missing; ``day``
    () float64, the day of the first value to forecast, counted from 1970. Output, but for scoring:
    ``forecast`` (time, 1) float64, the coming values of the first series. Its sample weight,
    ``forecast`` (time,), is 0 where such a value is missing, so that nothing is learnt from it.

    Args:
        mode: what records are loaded for; to score, no coming values are read.
        series: columns that hold past values, each a list of numbers. The first is the one to
            forecast: a column ``NAME_next`` holds its coming values.
    """

    def __init__(self, mode: RecordMode, series: list[str]) -> None:
        super().__init__(mode)
        self.series = list(series)
        self.coming = f"{self.series[0]}_next"

    def load(self, record: Record) -> DataRecord:
        """Load one record; the class says what comes out.

        Raises:
            RecordError: a series is no list of numbers or has no value at all, or a date is none.
        """
        # change here, and in load_batch: what the network gets to see of a record
        x = {
            "series": self._past([record[name] for name in self.series], axes=1),
            "day": np.array(_day(record[DATE])),
        }
        if self.mode is RecordMode.SCORE:
            return (x,)
        return x, *self._coming(record[self.coming], axes=1)

    def load_batch(self, records: Records) -> DataRecord:
        """Load many records: the same arrays, with a leading axis ``batch``."""
        x = {
            "series": self._past([records.stacked(name) for name in self.series], axes=2),
            "day": np.array([_day(date) for date in records[DATE].tolist()]),
        }
        if self.mode is RecordMode.SCORE:
            return (x,)
        return x, *self._coming(records.stacked(self.coming), axes=2)

    def columns_of(self, name: str) -> list[str]:
        """Name the columns that an input or output is made of, for error messages."""
        if name in ("series", "missing"):
            return self.series
        return [self.coming] if name == "forecast" else [DATE]

    def _past(self, columns: list[Any], axes: int) -> np.ndarray:
        past = [_numbers(columns[i], name, axes) for i, name in enumerate(self.series)]
        for name, values in zip(self.series, past, strict=True):
            # The transformer fills some missing values, but has nothing to go by without any.
            if np.isnan(values).all(axis=-1).any():
                raise RecordError(f"column '{name}': expected at least one known value, got none")
            if values.shape != past[0].shape:
                raise RecordError(
                    f"column '{name}': expected as many values as column '{self.series[0]}' has, "
                    f"{past[0].shape[-1]}, got {values.shape[-1]}"
                )
        return np.stack(past, axis=-1)

    def _coming(self, values: Any, axes: int) -> tuple[dict[str, np.ndarray], ...]:
        coming = _numbers(values, self.coming, axes)
        weights = (~np.isnan(coming)).astype(float)
        return {"forecast": coming[..., np.newaxis]}, {"forecast": weights}


def _numbers(values: Any, column: str, axes: int) -> np.ndarray:
    """Make an array of a list of numbers, or of many lists; None becomes NaN."""
    try:
        numbers = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise RecordError(f"column '{column}': expected a list of numbers: {error}") from None
    if numbers.ndim != axes:
        raise RecordError(f"column '{column}': expected a list of numbers")
    return numbers


def _day(date: Any) -> float:
    # Takes a time of day too: "2001-12-29T06:00" lies a quarter of a day later.
    try:
        moment = datetime.fromisoformat(str(date)).replace(tzinfo=None)
    except ValueError:
        raise RecordError(
            f"column '{DATE}': expected a date such as '2001-12-29', got {date!r}"
        ) from None
    return (moment - datetime(1970, 1, 1)) / timedelta(days=1)
