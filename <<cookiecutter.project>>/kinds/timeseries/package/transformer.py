"""The transformer: learns from the train records how to scale and back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from barrage_mlflow.dataset import (
    DataRecord,
    RecordLoader,
    RecordMode,
    Records,
    RecordScore,
    RecordTransformer,
)

FILE = "transformer.json"


class Transformer(RecordTransformer):
    """Scales each series, fills what is missing, and gives the forecast back in its unit.

    A series is scaled by how far its values lie from the last one of their window. So one unit is
    a usual step of that series, wherever its level is: a series that grows goes on to levels that
    no train record holds.

    Inputs for the network: ``series`` (time, series), a missing value filled with the one before
    it; ``missing`` (time, series), 1 where one was filled; ``season`` (2,), the time of year of
    the first value to forecast, as a point on a circle. All are float32.

    The config's network params take the number of past values from the placeholder ``{{length}}``,
    that of series from ``{{features}}``, and that of values to forecast from ``{{horizon}}``.

    Args:
        mode: what records are transformed for.
        loader: the loader in the same mode.
        period: days after which a season comes again: 365.25 a year, 7 a week.
    """

    network_param_names = ("length", "features", "horizon")

    def __init__(self, mode: RecordMode, loader: RecordLoader, period: float = 365.25) -> None:
        super().__init__(mode, loader)
        self.period = period

    def fit(self, records: Records) -> None:
        """Learn the level and the usual step of each series, and the lengths."""
        x, y, _ = self.loader.load_batch(records)
        series = x["series"]
        steps = series - _fill(series)[:, -1:]
        # change here: whatever else is to be learnt from the train records; all of it goes
        # through `_set`, so that `save` writes it and `load` reads it back
        self._set(
            np.nanmean(series, axis=(0, 1)).tolist(),
            # A series that never varies must not divide by zero.
            [float(step) or 1.0 for step in np.nanstd(steps, axis=(0, 1))],
            {
                "length": series.shape[1],
                "features": series.shape[2],
                "horizon": y["forecast"].shape[1],
            },
        )

    def _set(self, levels: list[float], steps: list[float], network_params: dict[str, int]) -> None:
        self._levels = np.array(levels)
        self._steps = np.array(steps)
        self.network_params = network_params

    def transform(self, data_record: DataRecord) -> DataRecord:
        """Transform one record."""
        # The same lines work on (time, series) and, for a batch, on (batch, time, series).
        x, *targets = data_record
        series = (_fill(x["series"]) - self._levels) / self._steps
        angle = x["day"] % self.period / self.period * 2 * np.pi
        transformed = {
            "series": series.astype(np.float32),
            "missing": np.isnan(x["series"]).astype(np.float32),
            "season": np.stack([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32),
        }
        if not targets:
            return (transformed,)
        y, weights = targets
        coming = (y["forecast"] - self._levels[0]) / self._steps[0]
        # A coming value that is missing has weight 0; it must only be a number.
        coming = np.where(np.isnan(coming), 0.0, coming)
        return transformed, {"forecast": coming.astype(np.float32)}, weights

    def transform_batch(self, data_record: DataRecord) -> DataRecord:
        """Transform many records: the same arrays, with a leading axis ``batch``."""
        return self.transform(data_record)

    def postprocess(self, score: RecordScore) -> RecordScore:
        """Give the forecast in the unit of its series.

        Args:
            score: ``forecast`` (time, 1) float32 of one record.
        """
        # change here: what a user of the model gets to read
        scaled = score["forecast"][..., 0].astype(float)
        return {"forecast": scaled * self._steps[0] + self._levels[0]}

    def postprocess_batch(self, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Do the same for many scores at once."""
        return self.postprocess(scores)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what ``fit`` learnt to a file in the folder."""
        learnt = {
            "levels": self._levels.tolist(),
            "steps": self._steps.tolist(),
            "network_params": self.network_params,
        }
        Path(path, FILE).write_text(json.dumps(learnt, indent=2) + "\n", "utf-8")

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what ``save`` wrote."""
        self._set(**json.loads(Path(path, FILE).read_text("utf-8")))


def _fill(series: np.ndarray) -> np.ndarray:
    """Put the value before it where one is missing; at the start, the first that is there.

    Args:
        series: ``(..., time, series)``, at least one value of each known.
    """
    known = ~np.isnan(series)
    time = np.arange(series.shape[-2])[:, np.newaxis]
    before = np.maximum.accumulate(np.where(known, time, -1), axis=-2)
    first = np.argmax(known, axis=-2, keepdims=True)
    return np.take_along_axis(series, np.maximum(before, first), axis=-2)
