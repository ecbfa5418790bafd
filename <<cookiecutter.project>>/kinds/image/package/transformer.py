"""Prepares what was loaded for the network, and brings its scores back to digits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from barrage_mlflow.dataset import DataRecord, Records, RecordScore, RecordTransformer


class Transformer(RecordTransformer):
    """Normalises pixels, numbers the digits, and names the most probable one.

    ``fit`` learns the mean and the standard deviation of all pixels of the train images, their
    size, and which digits there are. ``transform`` gives ``image`` (height, width, 1) float32
    and ``digit`` () int32, the digit's place among the digits in rising order.

    The network takes the size and the number of digits from the placeholders
    ``{{image_height}}``, ``{{image_width}}`` and ``{{digit_count}}`` in the config.

    Change here: one mean and deviation for each colour, or what else an image needs before
    the network sees it. What must happen in training alone goes to ``augment.py``.
    """

    network_param_names = ("image_height", "image_width", "digit_count")

    def fit(self, records: Records) -> None:
        """Learn from the train records."""
        x, y = self.loader.load_batch(records)
        image = x["image"]
        self._set(
            height=image.shape[1],
            width=image.shape[2],
            mean=float(image.mean()),
            # Images of one single shade must not divide by zero.
            deviation=float(image.std()) or 1.0,
            digits=np.unique(y["digit"]).tolist(),
        )

    def _set(
        self, height: int, width: int, mean: float, deviation: float, digits: list[int]
    ) -> None:
        self._learnt = {
            "height": height,
            "width": width,
            "mean": mean,
            "deviation": deviation,
            "digits": digits,
        }
        self._mean, self._deviation = np.float32(mean), np.float32(deviation)
        self._digits = np.array(digits)
        self._codes = {digit: code for code, digit in enumerate(digits)}
        self.network_params = {
            "image_height": height,
            "image_width": width,
            "digit_count": len(digits),
        }

    def transform(self, data_record: DataRecord) -> DataRecord:
        """Transform one record.

        Raises:
            ValueError: no train record shows this digit.
        """
        x, *targets = data_record
        transformed = {"image": self._normalise(x["image"])}
        if not targets:
            return (transformed,)
        return transformed, {"digit": np.array(self._code(targets[0]["digit"].item()), np.int32)}

    def transform_batch(self, data_record: DataRecord) -> DataRecord:
        """Transform many records: the same arrays, with a leading axis ``batch``."""
        x, *targets = data_record
        transformed = {"image": self._normalise(x["image"])}
        if not targets:
            return (transformed,)
        codes = [self._code(digit) for digit in targets[0]["digit"].tolist()]
        return transformed, {"digit": np.array(codes, np.int32)}

    def _normalise(self, image: np.ndarray) -> np.ndarray:
        # Works on (height, width) and on (batch, height, width) alike.
        return ((image.astype(np.float32) - self._mean) / self._deviation)[..., np.newaxis]

    def _code(self, digit: int) -> int:
        if digit not in self._codes:
            known = ", ".join(str(one) for one in self._codes)
            raise ValueError(f"digit {digit} is in no train record; the train records hold {known}")
        return self._codes[digit]

    def postprocess(self, score: RecordScore) -> RecordScore:
        """Give the most probable digit, and its probability.

        Args:
            score: ``digit`` (digits,) float32 of one record.
        """
        code = int(np.argmax(score["digit"]))
        return {"digit": self._digits[code], "probability": float(score["digit"][code])}

    def postprocess_batch(self, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Do the same for many records, in arrays (batch,)."""
        return {
            "digit": self._digits[np.argmax(scores["digit"], axis=1)],
            "probability": scores["digit"].max(axis=1).astype(float),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what ``fit`` learnt to ``transformer.json`` in the folder."""
        text = json.dumps(self._learnt, indent=2)
        Path(path, "transformer.json").write_text(text + "\n", "utf-8")

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what ``save`` wrote."""
        self._set(**json.loads(Path(path, "transformer.json").read_text("utf-8")))
