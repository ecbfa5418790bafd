"""The components of the cases that work by the record."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from barrage_mlflow.dataset import DataRecord, Record, RecordLoader, RecordMode
from penguins import PenguinLoader, PenguinTransformer


class OneBirdLoader(PenguinLoader):
    """The penguins' loader without its batch form."""

    def load(self, record: Record) -> DataRecord:
        """Load one record."""
        return super().load(record)


class OneBirdTransformer(PenguinTransformer):
    """The penguins' transformer without its batch form."""

    def transform(self, data_record: DataRecord) -> DataRecord:
        """Transform one record."""
        return super().transform(data_record)


class ImageLoader(RecordLoader):
    """Loads a picture: ``image`` (height, width, 3) float32 from 0 to 1, and its ``label``.

    Args:
        mode: what records are loaded for.
        folder: where the files lie.
    """

    def __init__(self, mode: RecordMode, folder: str) -> None:
        super().__init__(mode)
        self.folder = folder

    def load(self, record: Record) -> DataRecord:
        """Load one record."""
        with Image.open(os.path.join(self.folder, record["file"])) as image:  # noqa: PTH118 - fast
            x = {"image": np.asarray(image, np.float32) / np.float32(255)}
        return (x,) if self.mode is RecordMode.SCORE else (x, {"label": np.array(record["label"])})
