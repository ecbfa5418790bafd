"""Images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from barrage_mlflow.dataset.features.feature import Feature
from barrage_mlflow.dataset.types import Array


@dataclass(eq=False)
class Image(Feature):
    """An encoded image (PNG, JPEG …), decoded and resized: bytes from 0 to 255.

    A missing image is black.

    Args:
        size: height and width in pixels.
        channels: 3 for colours, 1 for greys.
        root: the folder that paths in the column lead on from; left out, the column has bytes.

    Example:
        >>> from barrage_mlflow.dataset.records.values import objects
        >>> import PIL.Image
        >>> file = io.BytesIO()
        >>> PIL.Image.new("RGB", (8, 8), (255, 0, 0)).save(file, "PNG")
        >>> feature = Image(size=(2, 1))
        >>> feature.encode(objects([file.getvalue(), None])).tolist()
        [[[[255, 0, 0]], [[255, 0, 0]]], [[[0, 0, 0]], [[0, 0, 0]]]]
        >>> feature.encode(objects([b"none"]))
        Traceback (most recent call last):
        ValueError: expected an image, such as PNG or JPEG, got 4 bytes that are none
    """

    size: Sequence[int] = (64, 64)
    channels: int = 3
    root: str | None = None

    type: ClassVar[str] = "image"
    kind: ClassVar[str] = "bytes"

    def encode(self, column: Array) -> Array:
        """``(records, height, width, channels) uint8`` of bytes ``(records,) object``.

        Raises:
            ValueError: a cell holds no image.
        """
        height, width = self.size
        made = np.zeros((len(column), height, width, self.channels), np.uint8)
        for row, cell in zip(made, column.tolist(), strict=True):
            if cell is not None:
                row[:] = self._decode(cell)
        return made

    def description(self) -> dict[str, Any]:
        """The shape of one image."""
        return {"shape": [*self.size, self.channels]}

    def _decode(self, encoded: bytes) -> Array:
        import PIL.Image

        height, width = self.size
        try:
            with PIL.Image.open(io.BytesIO(encoded)) as image:
                plain = image.convert("RGB" if self.channels == 3 else "L")
        except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
            raise ValueError(
                f"expected an image, such as PNG or JPEG, got {len(encoded)} bytes that are none"
            ) from error
        resized = plain.resize((width, height), PIL.Image.Resampling.BILINEAR)
        return np.asarray(resized).reshape(height, width, self.channels)
