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


def raw_kind(source: str) -> str:
    """What records are in, as :func:`kind_of` has it, or ``"images"``.

    Raises:
        RecordError: it is not there, or none of these.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     raw_kind(folder)
        'images'
    """
    folder = Path(source)
    is_images = folder.is_dir() and not any(folder.rglob("*.parquet"))
    return "images" if is_images else kind_of(source)


def find_images(source: str) -> tuple[list[Path], int]:
    """The images of a folder that has a folder for each class, and how many other files it has.

    Hidden files are left out. Paths are relative to the folder, and sorted.

    Raises:
        RecordError: there is none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("dog/2.png", "cat/1.JPG", "cat/notes.txt", "cat/.1.png"):
        ...         Path(folder, name).parent.mkdir(exist_ok=True)
        ...         Path(folder, name).touch()
        ...     images, others = find_images(folder)
        >>> [image.as_posix() for image in images], others
        (['cat/1.JPG', 'dog/2.png'], 1)
    """
    files = [path.relative_to(source) for path in Path(source).rglob("*") if path.is_file()]
    files = [path for path in files if not any(part.startswith(".") for part in path.parts)]
    images = [p for p in files if len(p.parts) == 2 and p.suffix.lower() in _IMAGES]
    if not images:
        raise RecordError(
            f"{source} has no .parquet files, and no images in a folder for each class, such as "
            "cat/1.png"
        )
    return sorted(images, key=Path.as_posix), len(files) - len(images)


def raw_cells(source: str, column: str | None) -> Iterator[Any]:
    r"""The cells of a column as they are written, one by one; without one, any cells.

    Raises:
        RecordError: the file is missing or not of its kind, or has no such column.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "birds.csv")
        ...     size = path.write_text("id,a\n007,x\n008,y\n")
        ...     list(raw_cells(str(path), "id"))
        ['007', '008']
    """
    names: dict[Any, Any] = {}
    kind = raw_kind(source)
    if kind == "parquet":
        # Imported late, since pyarrow takes long to load.
        from barrage_mlflow.dataset.records.parquet_files import read_batches, whole_dataset

        found, _ = whole_dataset(source)
        names = dict.fromkeys(found.schema.names)
        wanted: Any = column if column in names else found.schema.names[0]
        for batch in read_batches(source, found, [wanted]):
            yield from cells_of(batch.column(0)).tolist()
    else:
        for _, cells in _texts(source, kind)[1]:
            names.update(cells)
            yield cells.get(column)
    if names and column not in (None, *names):
        raise RecordError(no_such_column(str(column), list(names), file_name(source)))


def write_sets(source: str, sets: Array, paths: list[Path]) -> None:
    r"""Write each record to one of several files, as it is and in the order of the source.

    Args:
        source: the path or URL of a file, or a folder of images.
        sets: ``(records,) int64``, which of ``paths`` a record goes to; none of them has nothing.
        paths: the files to write; their names tell the compression.

    Raises:
        RecordError: the file is missing or not of its kind.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path, odd, even = (Path(folder, f"{name}.csv") for name in ("birds", "a", "b"))
        ...     size = path.write_text("id\n1\n2\n3\n")
        ...     write_sets(str(path), np.array([0, 1, 0]), [odd, even])
        ...     odd.read_text(), even.read_text()
        ('id\n1\n3\n', 'id\n2\n')
    """
    kind = raw_kind(source)
    if kind == "parquet":
        _write_parquet(source, sets, paths)
        return
    head, texts = _texts(source, kind)
    between, end = (b",\n", b"]\n") if kind == "json" else (b"", b"")
    with ExitStack() as stack:
        opened = [fsspec.open(str(path), "wb", compression="infer") for path in paths]
        files = [stack.enter_context(file) for file in opened]
        before = [head] * len(files)
        for (text, _), number in zip(texts, sets, strict=True):
            files[number].write(before[number] + text)
            before[number] = between
        for file in files:
            file.write(end)


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


def _texts(source: str, kind: str) -> tuple[bytes, Iterator[tuple[bytes, dict[Any, Any]]]]:
    """What a file begins with, and the bytes and the cells of each record."""
    if kind == "images":
        return b"path,label\n", map(_image_row, find_images(source)[0])
    if kind == "csv":
        texts = csv_texts(source)
        return next(texts)[0], texts
    return b"[" if kind == "json" else b"", json_texts(source, kind == "jsonl")


def _image_row(image: Path) -> tuple[bytes, dict[Any, Any]]:
    cells, line = {"path": image.as_posix(), "label": image.parts[0]}, io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells.values())
    return line.getvalue().encode("utf-8", "surrogateescape"), cells
