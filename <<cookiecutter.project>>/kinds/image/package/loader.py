"""Loads records: a PNG in base64 becomes pixels."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

import numpy as np
from barrage_mlflow.dataset import DataRecord, Record, RecordLoader, RecordMode, Records
from barrage_mlflow.errors import RecordError
from PIL import Image


class Loader(RecordLoader):
    """Loads an image and, but for scoring, the digit that it shows.

    Input ``image`` (height, width) uint8, 0 black to 255 white. Output ``digit`` () int64.

    The image is a PNG file in base64, in a text column. So a record is the same in a CSV file
    and in a request over HTTP, and serving needs no folder of images.

    Change here: the names of your columns; colour (``convert("RGB")``, which gives arrays
    (height, width, 3)); or a path in place of the image itself: declare the column in the config,
    ``"columns": {"image": {"kind": "bytes", "root": "data/images"}}`` in ``dataset``, and it
    holds the bytes of each file, in training and for scoring.

    Args:
        mode: what records are loaded for.
        height: rows of pixels that an image must have.
        width: columns of pixels that it must have.
    """

    def __init__(self, mode: RecordMode, height: int = 8, width: int = 8) -> None:
        super().__init__(mode)
        self._size = (width, height)

    def load(self, record: Record) -> DataRecord:
        """Load one record; the class says what comes out.

        Raises:
            RecordError: the image is no PNG of this size, or the digit is missing.
        """
        x = {"image": self._pixels(record["image"])}
        if self.mode is RecordMode.SCORE:
            return (x,)  # Read no target here: a record to score has none.
        return x, {"digit": np.array(_digit(record["digit"]), np.int64)}

    def load_batch(self, records: Records) -> DataRecord:
        """Load many records: the same arrays, with a leading axis ``batch``.

        Raises:
            RecordError: as ``load`` does.
        """
        x = {"image": np.stack([self._pixels(text) for text in records["image"].tolist()])}
        if self.mode is RecordMode.SCORE:
            return (x,)
        digits = [_digit(value) for value in records["digit"].tolist()]
        return x, {"digit": np.array(digits, np.int64)}

    def columns_of(self, name: str) -> list[str]:
        """Name the columns that an input or output is made of, for error messages."""
        return [name]

    def _pixels(self, text: Any) -> np.ndarray:
        if not isinstance(text, str) or not text.strip():
            raise RecordError("column 'image' holds no text; expected a PNG file in base64")
        try:
            # Line breaks, which some encoders put in, are no fault.
            content = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise RecordError(f"column 'image' is no base64: {error}") from error
        try:
            with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                size, mode = image.size, image.mode
                # Its size is known before it is decoded, however large it claims to be.
                pixels = np.array(image.convert("L")) if size == self._size else None
        except Exception as error:  # Pillow raises a dozen kinds for the ways a file can be broken.
            raise RecordError("column 'image' is no PNG file that can be read") from error
        if mode.startswith("I"):  # Pillow would cut these shades off at 255.
            raise RecordError("column 'image' has 16 bits a pixel; expected 8")
        if pixels is None:
            width, height = self._size
            raise RecordError(
                f"column 'image' has {size[0]} × {size[1]} pixels; expected {width} × {height}"
            )
        return pixels


def _digit(value: Any) -> int:
    # A missing value is None, or NaN, which alone differs from itself.
    if value is None or value != value:
        raise RecordError("column 'digit' is empty, which it may be for scoring alone")
    if int(value) != value:
        raise RecordError(f"column 'digit' holds {value!r}; expected a whole number")
    return int(value)
