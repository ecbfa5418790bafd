"""Records as a file has them: looked at in one column, and passed on as they are written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from barrage_mlflow.dataset.records.csv_files import csv_texts
from barrage_mlflow.dataset.records.files import file_name, kind_of
from barrage_mlflow.dataset.records.json_files import json_texts
from barrage_mlflow.dataset.records.sources import cells_of, no_such_column
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import RecordError

_IMAGES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff"}
"""What Pillow reads as it comes."""


class RawRecords:
    r"""Records as a file has them, or those that a folder of images makes.

    Args:
        source: the path or URL of a file; a folder of Parquet files; or one that has a folder of
            images for each class, of which hidden files are left out.

    Attributes:
        kind: what they are in, as :func:`kind_of` has it, or ``"images"``.
        images: paths from the folder on, sorted; none of other kinds.
        others: how many other files there are beside them.

    Raises:
        RecordError: it is not there, or none of these.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path, odd, even = (Path(folder, f"{name}.csv") for name in ("birds", "a", "b"))
        ...     size = path.write_text("id\n007\n008\n009\n")
        ...     records = RawRecords(str(path))
        ...     records.write(np.array([0, 1, 0]), [odd, even])
        ...     list(records.cells("id")), odd.read_text(), even.read_text()
        (['007', '008', '009'], 'id\n007\n009\n', 'id\n008\n')
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("dog/2.png", "cat/1.JPG", "cat/notes.txt", "cat/.1.png"):
        ...         Path(folder, name).parent.mkdir(exist_ok=True)
        ...         Path(folder, name).touch()
        ...     records = RawRecords(folder)
        >>> [image.as_posix() for image in records.images], records.others
        (['cat/1.JPG', 'dog/2.png'], 1)
    """

    def __init__(self, source: str) -> None:
        self.source, self.images, self.others = source, list[Path](), 0
        found = list(Path(source).rglob("*"))
        if not Path(source).is_dir() or any(path.suffix == ".parquet" for path in found):
            self.kind = kind_of(source)
            return
        files = [path.relative_to(source) for path in found if path.is_file()]
        files = [path for path in files if not any(part.startswith(".") for part in path.parts)]
        images = [p for p in files if len(p.parts) == 2 and p.suffix.lower() in _IMAGES]
        if not images:
            raise RecordError(
                f"{source} has no .parquet files, and no images in a folder for each class, such "
                "as cat/1.png"
            )
        self.kind, self.images = "images", sorted(images, key=Path.as_posix)
        self.others = len(files) - len(images)

    def cells(self, column: str | None) -> Iterator[Any]:
        """The cells of a column as they are written, one by one; without one, any cells.

        Raises:
            RecordError: the file is not of its kind, or has no such column.
        """
        names: dict[Any, Any] = {}
        if self.kind == "parquet":
            # Imported late, since pyarrow takes long to load.
            from barrage_mlflow.dataset.records.parquet_files import read_batches, whole_dataset

            found, _ = whole_dataset(self.source)
            names = dict.fromkeys(found.schema.names)
            wanted: Any = column if column in names else found.schema.names[0]
            for batch in read_batches(self.source, found, [wanted]):
                yield from cells_of(batch.column(0)).tolist()
        else:
            for _, cells in self._texts()[1]:
                names.update(cells)
                yield cells.get(column)
        if names and column not in (None, *names):
            raise RecordError(no_such_column(str(column), list(names), file_name(self.source)))

    def write(self, sets: Array, paths: list[Path]) -> None:
        """Write each record to one of several files, as it is and in the order of the source.

        Args:
            sets: ``(records,) int64``, which of ``paths`` a record goes to; none of them has
                nothing.
            paths: the files to write; their names tell the compression.

        Raises:
            RecordError: the file is not of its kind.
        """
        if self.kind == "parquet":
            _write_parquet(self.source, sets, paths)
            return
        head, texts = self._texts()
        between, end = (b",\n", b"]\n") if self.kind == "json" else (b"", b"")
        with ExitStack() as stack:
            opened = [fsspec.open(str(path), "wb", compression="infer") for path in paths]
            files = [stack.enter_context(file) for file in opened]
            before = [head] * len(files)
            for (text, _), number in zip(texts, sets, strict=True):
                files[number].write(before[number] + text)
                before[number] = between
            for file in files:
                file.write(end)

    def _texts(self) -> tuple[bytes, Iterator[tuple[bytes, dict[Any, Any]]]]:
        """What a file begins with, and the bytes and the cells of each record."""
        if self.kind == "images":
            return b"path,label\n", map(_image_row, self.images)
        if self.kind == "csv":
            texts = csv_texts(self.source)
            return next(texts)[0], texts
        head = b"[" if self.kind == "json" else b""
        return head, json_texts(self.source, self.kind == "jsonl")


def _write_parquet(source: str, sets: Array, paths: list[Path]) -> None:
    import pyarrow.parquet as pq

    from barrage_mlflow.dataset.records.parquet_files import read_batches, whole_dataset

    found, codec = whole_dataset(source)
    with ExitStack() as stack:
        made = [pq.ParquetWriter(path, found.schema, compression=codec) for path in paths]
        files = [stack.enter_context(file) for file in made]
        for batch in read_batches(source, found):
            some, sets = np.split(sets, [len(batch)])
            for number, file in enumerate(files):
                file.write_batch(batch.filter(some == number))


def _image_row(image: Path) -> tuple[bytes, dict[Any, Any]]:
    cells, line = {"path": image.as_posix(), "label": image.parts[0]}, io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells.values())
    return line.getvalue().encode("utf-8", "surrogateescape"), cells
